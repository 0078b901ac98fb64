//! The calls of the host's traits as lines of JSON. One table says all of them: the form of the call, who asks, who
//! answers.

use super::host::FakeHost;
use crate::host::{
    Adapter, BitLocker, Clock, Disk, Disks, Driver, Drivers, EventSpan, Events, Files, HistoryEntry, Host,
    HostEndpoint, HostError, HostNetwork, HostResult, Identity, Job, Memory, MemoryUse, Network, Power, Registry,
    Route, Runtime, Service, Services, StoreHealth, TaskState, Tasks, UpdatePolicy, Updates,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use windlass_protocol::{Build, PinnedUpdate, RebootSignals, ServiceState, Source};

/// What a call came to: its result as JSON, or the HRESULT and the text of its error.
pub type Answer = Result<serde_json::Value, (u32, String)>;

/// The answer of a call that was made on a host.
fn answer_of<T: Serialize>(result: HostResult<T>) -> Answer {
    let value = result.map_err(|e: HostError| (e.hresult, e.message))?;
    // Serialising owned values with text keys can not fail.
    Ok(serde_json::to_value(value).unwrap_or_default())
}

/// An argument as the method takes it.
macro_rules! pass {
    (val $arg:ident) => {
        $arg.clone()
    };
    (by $arg:ident) => {
        &$arg
    };
}

/// One method of a trait, of [`FakeHost`]: the real machine's where the concern is real, else a call.
macro_rules! method {
    ($concern:ident, look $name:ident($($arg:ident: $ty:ty),*) -> $result:ty) => {
        fn $name(&self, $($arg: $ty),*) -> HostResult<$result> {
            match self.real(stringify!($concern)) {
                Some(real) => real.$name($($arg),*),
                None => self.ask(&Call::$name { $($arg: $arg.to_owned()),* }),
            }
        }
    };
    ($concern:ident, act $name:ident($($arg:ident: $ty:ty),*) -> $result:ty) => {
        fn $name(&mut self, $($arg: $ty),*) -> HostResult<$result> {
            match self.real_mut(stringify!($concern)) {
                Some(real) => real.$name($($arg),*),
                None => self.ask(&Call::$name { $($arg: $arg.to_owned()),* }),
            }
        }
    };
}

macro_rules! border {
    ($($concern:ident { $($kind:ident $name:ident($($how:ident $arg:ident: $ty:ty = $owned:ty),*) -> $result:ty;)* })*) => {
        /// One call of the host's traits, named as its method.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[allow(non_camel_case_types, missing_docs, reason = "named as the methods are, and documented there")]
        pub enum Call {
            $($($name { $($arg: $owned),* },)*)*
        }

        impl Call {
            /// Makes the call on a host.
            pub fn answer(&self, host: &mut dyn Host) -> Answer {
                match self.clone() {
                    $($(Self::$name { $($arg),* } => answer_of(host.$name($(pass!($how $arg)),*)),)*)*
                }
            }
        }

        $(impl $concern for FakeHost {
            $(method!($concern, $kind $name($($arg: $ty),*) -> $result);)*
        })*
    };
}

border! {
    Updates {
        act begin_search(by source: &Source = Source, by pinned: &[PinnedUpdate] = Vec<PinnedUpdate>) -> ();
        act begin_download(by updates: &[PinnedUpdate] = Vec<PinnedUpdate>) -> ();
        act begin_install(by updates: &[PinnedUpdate] = Vec<PinnedUpdate>) -> ();
        act poll_job() -> Job;
        look servicing_busy() -> bool;
        act discard_downloads(by updates: &[PinnedUpdate] = Vec<PinnedUpdate>) -> ();
        look update_history(val count: u32 = u32) -> Vec<HistoryEntry>;
        look component_store() -> StoreHealth;
    }
    Files {
        look read(by name: &str = String) -> Option<Vec<u8>>;
        act replace(by name: &str = String, by bytes: &[u8] = Vec<u8>) -> ();
        act remove(by name: &str = String) -> ();
    }
    Tasks {
        look task() -> TaskState;
        act register_task() -> ();
        act start_task() -> ();
        act remove_task() -> ();
    }
    Registry {
        look build() -> Build;
        look reboot_signals() -> RebootSignals;
        look update_policy() -> UpdatePolicy;
        act set_no_auto_update(val value: Option<u32> = Option<u32>) -> ();
    }
    Power {
        look boot_id() -> String;
        act reboot(by reason: &str = String) -> ();
        look boot_time() -> Timestamp;
        look on_battery() -> bool;
    }
    Services {
        look automatic_services() -> BTreeMap<String, ServiceState>;
        look service(by name: &str = String) -> Option<Service>;
    }
    Network {
        look host_networks() -> Vec<HostNetwork>;
        look host_endpoints() -> Vec<HostEndpoint>;
        look adapters() -> Vec<Adapter>;
        look routes() -> Vec<Route>;
        look dynamic_ports_left() -> u32;
        look resolve(by name: &str = String) -> Vec<IpAddr>;
    }
    Runtime {
        look kubelet_health() -> u16;
        look runtime_answers() -> bool;
    }
    Events {
        look critical_events(val span: EventSpan = EventSpan) -> Vec<String>;
        act write_event(val failure: bool = bool, by text: &str = String) -> ();
    }
    Disks {
        look disks() -> Vec<Disk>;
        look free_bytes() -> u64;
        look bitlocker() -> BitLocker;
    }
    Drivers {
        look drivers() -> Vec<Driver>;
    }
    Clock {
        look clock_ahead() -> Option<SignedDuration>;
        look secure_channel() -> Option<bool>;
    }
    Identity {
        look kubelet_certificate_ends() -> Option<Timestamp>;
        look machine_password_due() -> Option<Timestamp>;
    }
    Memory {
        look memory() -> MemoryUse;
    }
}
