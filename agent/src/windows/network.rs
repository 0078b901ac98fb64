//! Networking of the host: host networks, adapters, routes, ports, names.

use super::border::{unexpected, win32};
use super::process::{Late, run};
use super::{WindowsHost, hns};
use crate::host::{Adapter, HostEndpoint, HostError, HostNetwork, HostResult, Network, Route};
use crate::shape::{self, ports};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use windows::Win32::Foundation::{ERROR_BUFFER_OVERFLOW, WIN32_ERROR};
use windows::Win32::NetworkManagement::IpHelper::{
    FreeMibTable, GAA_FLAG_SKIP_ANYCAST, GAA_FLAG_SKIP_MULTICAST, GetAdaptersAddresses, GetIpForwardTable2,
    IF_TYPE_SOFTWARE_LOOPBACK, IP_ADAPTER_ADDRESSES_LH, IP_ADAPTER_DHCP_ENABLED, MIB_IPFORWARD_ROW2,
    MIB_IPFORWARD_TABLE2,
};
use windows::Win32::NetworkManagement::Ndis::IfOperStatusUp;
use windows::Win32::Networking::WinSock::{
    AF_INET, AF_INET6, AF_UNSPEC, SOCKADDR_IN, SOCKADDR_IN6, SOCKADDR_INET, SOCKET_ADDRESS,
};

/// How long `netsh` may take, ours: it takes well below a second.
const NETSH: Duration = Duration::from_secs(10);

/// How long a name may take to be resolved: 5 seconds, the first time-out of Windows' resolver is one.
const RESOLVE: Duration = Duration::from_secs(5);

/// `DNS_ERROR_RCODE_SERVER_FAILURE`-like: no answer in time (`WSATRY_AGAIN`).
const TRY_AGAIN: u32 = 0x8007_2AFA;

/// An address of a socket structure; `None` for another family.
fn address(socket: &SOCKADDR_INET) -> Option<IpAddr> {
    // SAFETY: the family is the first field of each member of the union, and tells which one it is.
    unsafe {
        match socket.si_family {
            AF_INET => Some(IpAddr::V4(Ipv4Addr::from(socket.Ipv4.sin_addr.S_un.S_addr.to_ne_bytes()))),
            AF_INET6 => Some(IpAddr::V6(Ipv6Addr::from(socket.Ipv6.sin6_addr.u.Byte))),
            _ => None,
        }
    }
}

/// An address that Windows points to.
///
/// # Safety
/// The pointer is null or to a whole socket address of its family.
unsafe fn pointed(socket: SOCKET_ADDRESS) -> Option<IpAddr> {
    // SAFETY: as the caller says; the family comes first, and what is read is no longer than that family's structure.
    unsafe {
        let family = socket.lpSockaddr.as_ref()?.sa_family;
        let mut whole = SOCKADDR_INET::default();
        match family {
            AF_INET => whole.Ipv4 = socket.lpSockaddr.cast::<SOCKADDR_IN>().read_unaligned(),
            AF_INET6 => whole.Ipv6 = socket.lpSockaddr.cast::<SOCKADDR_IN6>().read_unaligned(),
            _ => return None,
        }
        address(&whole)
    }
}

/// The table of adapters, in memory of ours that keeps its alignment.
fn adapter_table() -> HostResult<Vec<u64>> {
    let flags = GAA_FLAG_SKIP_ANYCAST | GAA_FLAG_SKIP_MULTICAST;
    // 16 KiB is what Microsoft advises to begin with; adapters may come while it is asked.
    let mut size = 16 * 1024;
    for _ in 0..3 {
        let mut table = vec![0u64; (size as usize).div_ceil(8)];
        let into = Some(table.as_mut_ptr().cast());
        // SAFETY: the table has at least the size that is said.
        match WIN32_ERROR(unsafe { GetAdaptersAddresses(u32::from(AF_UNSPEC.0), flags, None, into, &raw mut size) }) {
            ERROR_BUFFER_OVERFLOW => {}
            result => return win32(result, "network adapters").map(|()| table),
        }
    }
    Err(unexpected("network adapters: they change all the time"))
}

/// # Safety
/// The entry and all that it points to live in a table that `GetAdaptersAddresses` filled in.
unsafe fn adapter(entry: &IP_ADAPTER_ADDRESSES_LH) -> Adapter {
    let (mut addresses, mut dns_servers) = (vec![], vec![]);
    let length = (entry.PhysicalAddressLength as usize).min(entry.PhysicalAddress.len());
    // SAFETY: as the caller says: lists end with null, texts with zero.
    unsafe {
        let mut unicast = entry.FirstUnicastAddress.as_ref();
        while let Some(one) = unicast {
            addresses.extend(pointed(one.Address));
            unicast = one.Next.as_ref();
        }
        let mut server = entry.FirstDnsServerAddress.as_ref();
        while let Some(one) = server {
            dns_servers.extend(pointed(one.Address));
            server = one.Next.as_ref();
        }
        addresses.sort_unstable();
        let pairs = entry.PhysicalAddress.iter().take(length).map(|b| format!("{b:02x}"));
        Adapter {
            name: entry.FriendlyName.to_string().unwrap_or_default(),
            description: entry.Description.to_string().unwrap_or_default(),
            mac: pairs.collect::<Vec<_>>().join(":"),
            up: entry.OperStatus == IfOperStatusUp,
            dhcp: entry.Anonymous2.Flags & IP_ADAPTER_DHCP_ENABLED != 0,
            addresses,
            dns_servers,
        }
    }
}

fn route(row: &MIB_IPFORWARD_ROW2) -> Option<Route> {
    Some(Route {
        destination: address(&row.DestinationPrefix.Prefix)?,
        prefix: row.DestinationPrefix.PrefixLength,
        next_hop: address(&row.NextHop)?,
    })
}

fn netsh(what: &str) -> HostResult<String> {
    let ended = run("netsh.exe", &["interface", "ipv4", "show", what, "tcp"], NETSH, Late::Kill)?;
    if ended.code == 0 { Ok(ended.output) } else { Err(unexpected(format!("netsh: show {what}: exit {}", ended.code))) }
}

impl Network for WindowsHost {
    fn host_networks(&self) -> HostResult<Vec<HostNetwork>> {
        shape::hns::networks(&hns::call("/networks/")?).map_err(unexpected)
    }

    fn host_endpoints(&self) -> HostResult<Vec<HostEndpoint>> {
        shape::hns::endpoints(&hns::call("/endpoints/")?).map_err(unexpected)
    }

    fn adapters(&self) -> HostResult<Vec<Adapter>> {
        let table = adapter_table()?;
        let mut adapters = vec![];
        // SAFETY: the table begins with an entry, or is all zero where there is none, which ends the list at once; each
        // entry points to the next one inside the table.
        unsafe {
            let mut entry = table.as_ptr().cast::<IP_ADAPTER_ADDRESSES_LH>().as_ref();
            while let Some(one) = entry {
                if one.IfType != IF_TYPE_SOFTWARE_LOOPBACK && !one.FriendlyName.is_null() {
                    adapters.push(adapter(one));
                }
                entry = one.Next.as_ref();
            }
        }
        adapters.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(adapters)
    }

    fn routes(&self) -> HostResult<Vec<Route>> {
        let mut table: *mut MIB_IPFORWARD_TABLE2 = std::ptr::null_mut();
        // SAFETY: the table is written once, and freed below after its last use.
        win32(unsafe { GetIpForwardTable2(AF_UNSPEC, &raw mut table) }, "routes")?;
        // SAFETY: after success the table is there, with as many rows as it says behind its head.
        let mut routes: Vec<_> = unsafe {
            let count = (*table).NumEntries as usize;
            let rows = std::slice::from_raw_parts((&raw const (*table).Table).cast::<MIB_IPFORWARD_ROW2>(), count);
            rows.iter().filter(|row| !row.Loopback).filter_map(route).collect()
        };
        // SAFETY: the table came from `GetIpForwardTable2`, and is not used again.
        unsafe { FreeMibTable(table.cast()) };
        routes.sort_unstable();
        routes.dedup();
        Ok(routes)
    }

    fn dynamic_ports_left(&self) -> HostResult<u32> {
        let range = ports::dynamic(&netsh("dynamicport")?).ok_or_else(|| unexpected("netsh: no dynamic port range"))?;
        Ok(ports::left(range, &ports::excluded(&netsh("excludedportrange")?)))
    }

    fn resolve(&self, name: &str) -> HostResult<Vec<IpAddr>> {
        let (sender, answer) = channel();
        let asked = (name.to_owned(), 0u16);
        // The system's resolver knows no deadline: it is asked in a thread that is left behind when it is late.
        thread::spawn(move || sender.send(asked.to_socket_addrs().map(|all| all.map(|a| a.ip()).collect())));
        match answer.recv_timeout(RESOLVE) {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(e)) => Err(HostError::new(TRY_AGAIN, format!("name {name}: {e}"))),
            Err(_) => Err(HostError::new(TRY_AGAIN, format!("name {name}: no answer within {} s", RESOLVE.as_secs()))),
        }
    }
}
