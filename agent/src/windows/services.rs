//! Services: what runs by the service manager, how it starts by the registry.

use super::border::{Doing, unexpected, wide};
use super::{WindowsHost, processes, registry};
use crate::host::{HostResult, Service, ServiceProcess, Services, StartMode};
use std::collections::BTreeMap;
use windlass_protocol::ServiceState;
use windows::Win32::Foundation::ERROR_MORE_DATA;
use windows::Win32::System::Services::{
    ENUM_SERVICE_STATUS_PROCESSW, EnumServicesStatusExW, OpenSCManagerW, OpenServiceW, QueryServiceStatusEx,
    SC_ENUM_PROCESS_INFO, SC_HANDLE, SC_MANAGER_CONNECT, SC_MANAGER_ENUMERATE_SERVICE, SC_STATUS_PROCESS_INFO,
    SERVICE_QUERY_STATUS, SERVICE_RUNNING, SERVICE_STATE_ALL, SERVICE_STATUS_PROCESS, SERVICE_WIN32,
};
use windows::core::{Owned, PCWSTR};

/// Where services are configured.
const CONFIGURATION: &str = r"SYSTEM\CurrentControlSet\Services";

/// `ERROR_SERVICE_DOES_NOT_EXIST`.
const NO_SERVICE: u32 = 0x8007_0424;

/// `SERVICE_USER_SERVICE`, the bit of a service that each session has for itself.
const USER_SERVICE: u32 = 0x40;

/// `Start` of a service that starts by itself (`SERVICE_AUTO_START`).
const AUTOMATIC: u32 = 2;

/// `Start` of a service that is started on demand (`SERVICE_DEMAND_START`).
const ON_DEMAND: u32 = 3;

fn manager(access: u32) -> HostResult<Owned<SC_HANDLE>> {
    // SAFETY: null names mean this machine and its active services; the handle is owned from here.
    unsafe { Ok(Owned::new(OpenSCManagerW(None, None, access).doing("service manager")?)) }
}

/// All services, by name, with their status.
fn all() -> HostResult<Vec<(String, SERVICE_STATUS_PROCESS)>> {
    let manager = manager(SC_MANAGER_CONNECT | SC_MANAGER_ENUMERATE_SERVICE)?;
    // The structures want the alignment of a pointer. 256 KiB is the most the call takes.
    let mut buffer = vec![0u64; 32 * 1024];
    let (mut resume, mut services) = (0, vec![]);
    loop {
        let (mut needed, mut count) = (0, 0);
        // SAFETY: the bytes are those of `buffer`, borrowed for the call alone.
        let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast(), buffer.len() * 8) };
        let (kind, state) = (SERVICE_WIN32, SERVICE_STATE_ALL);
        // SAFETY: the manager lives; the call writes into the bytes and the three numbers.
        let asked = unsafe {
            EnumServicesStatusExW(
                *manager,
                SC_ENUM_PROCESS_INFO,
                kind,
                state,
                Some(bytes),
                &raw mut needed,
                &raw mut count,
                Some(&raw mut resume),
                None,
            )
        };
        // SAFETY: the call filled in `count` structures from the buffer's begin; their names point into the buffer.
        let entries = unsafe {
            std::slice::from_raw_parts(buffer.as_ptr().cast::<ENUM_SERVICE_STATUS_PROCESSW>(), count as usize)
        };
        for entry in entries {
            // SAFETY: the name ends with a zero inside the buffer, which is not written meanwhile.
            let name = unsafe { entry.lpServiceName.to_string() };
            services.push((name.map_err(|e| unexpected(e.to_string()))?, entry.ServiceStatusProcess));
        }
        match asked {
            Ok(()) => return Ok(services),
            Err(e) if e.code() == ERROR_MORE_DATA.to_hresult() && count > 0 => {}
            Err(e) => return Err(e).doing("list of services"),
        }
    }
}

fn status(name: &str) -> HostResult<Option<SERVICE_STATUS_PROCESS>> {
    let (manager, wide_name) = (manager(SC_MANAGER_CONNECT)?, wide(name));
    // SAFETY: the manager lives, the name outlives the call.
    let service = match unsafe { OpenServiceW(*manager, PCWSTR(wide_name.as_ptr()), SERVICE_QUERY_STATUS) }.doing(name)
    {
        Err(e) if e.hresult == NO_SERVICE => return Ok(None),
        // SAFETY: the handle is ours, and owned from here.
        opened => unsafe { Owned::new(opened?) },
    };
    let (mut bytes, mut needed) = ([0u8; size_of::<SERVICE_STATUS_PROCESS>()], 0);
    // SAFETY: the service lives; the buffer has the size of the structure.
    unsafe { QueryServiceStatusEx(*service, SC_STATUS_PROCESS_INFO, Some(&mut bytes), &raw mut needed) }.doing(name)?;
    // SAFETY: the call filled in the structure, which is of plain numbers; read without regard to alignment.
    Ok(Some(unsafe { bytes.as_ptr().cast::<SERVICE_STATUS_PROCESS>().read_unaligned() }))
}

fn state(status: &SERVICE_STATUS_PROCESS) -> ServiceState {
    if status.dwCurrentState == SERVICE_RUNNING { ServiceState::Running } else { ServiceState::Stopped }
}

fn start(name: &str) -> HostResult<StartMode> {
    Ok(match registry::number(&format!(r"{CONFIGURATION}\{name}"), "Start")? {
        Some(0..=AUTOMATIC) => StartMode::Automatic,
        Some(ON_DEMAND) => StartMode::Manual,
        _ => StartMode::Disabled,
    })
}

/// The process of a service that runs. What can not be seen of it is left out: some processes are protected.
fn process(id: u32) -> HostResult<Option<ServiceProcess>> {
    if id == 0 {
        return Ok(None);
    }
    let threads = processes::all()?.into_iter().find(|p| p.id == id).map(|p| p.threads);
    Ok(Some(ServiceProcess { id, threads, started: processes::started(id).ok() }))
}

impl Services for WindowsHost {
    fn automatic_services(&self) -> HostResult<BTreeMap<String, ServiceState>> {
        let mut automatic = BTreeMap::new();
        for (name, status) in all()? {
            // A user's own services come and go with the session, and have another name each time.
            if status.dwServiceType.0 & USER_SERVICE != 0 || start(&name)? != StartMode::Automatic {
                continue;
            }
            let key = format!(r"{CONFIGURATION}\{name}");
            let triggered = registry::exists(&format!(r"{key}\TriggerInfo"))?;
            let delayed = registry::number(&key, "DelayedAutostart")? == Some(1);
            if !triggered && !delayed {
                automatic.insert(name, state(&status));
            }
        }
        Ok(automatic)
    }

    fn service(&self, name: &str) -> HostResult<Option<Service>> {
        let Some(status) = status(name)? else { return Ok(None) };
        Ok(Some(Service { state: state(&status), start: start(name)?, process: process(status.dwProcessId)? }))
    }
}
