//! Time, and the domain that trusts it.

use super::border::{Doing, unexpected, win32};
use super::{WindowsHost, computer_name, registry};
use crate::host::{Clock, HostResult};
use crate::shape::ntp::{ahead, kiss, question, servers};
use jiff::{SignedDuration, Timestamp};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;
use windows::Win32::Foundation::WIN32_ERROR;
use windows::Win32::NetworkManagement::NetManagement::{
    I_NetLogonControl2, NETLOGON_CONTROL_TC_VERIFY, NETLOGON_INFO_2, NetApiBufferFree, NetGetJoinInformation,
    NetSetupDomainName, NetSetupUnknownStatus,
};
use windows::Win32::System::SystemInformation::ComputerNameDnsDomain;
use windows::core::PWSTR;

/// Settings of Windows' time service.
const TIME: &str = r"SYSTEM\CurrentControlSet\Services\W32Time\Parameters";

/// How long a time server may take, ours.
const PATIENCE: Duration = Duration::from_secs(3);

/// Most time servers that are asked, ours: a call may not take long.
const MOST_SERVERS: usize = 2;

/// The time servers of this machine: its own, or, in a domain, the domain's controllers, under one name.
fn time_servers() -> HostResult<Vec<String>> {
    let kind = registry::string(TIME, "Type")?.unwrap_or_default();
    match kind.as_str() {
        "NTP" | "AllSync" => {
            let list = registry::string(TIME, "NtpServer")?.unwrap_or_default();
            Ok(servers(&list).take(MOST_SERVERS).map(str::to_owned).collect())
        }
        "NT5DS" => Ok(domain()?.map(|short| dns_domain().unwrap_or(short)).into_iter().collect()),
        _ => Ok(vec![]),
    }
}

/// The machine's domain as the name service has it, whose addresses are those of its controllers. The domain's short
/// (`NetBIOS`) name is in no name server: without the domain's suffix nothing is found under it.
fn dns_domain() -> Option<String> {
    computer_name(ComputerNameDnsDomain).ok().filter(|name| !name.is_empty())
}

/// The domain that the machine is joined to, if it is to one, by its short name.
pub(super) fn domain() -> HostResult<Option<String>> {
    let (mut name, mut status) = (PWSTR::null(), NetSetupUnknownStatus);
    // SAFETY: null means this machine; name and status are written once.
    let asked = unsafe { NetGetJoinInformation(None, &raw mut name, &raw mut status) };
    win32(WIN32_ERROR(asked), "domain")?;
    // SAFETY: after success the name is a text that ends with a zero; it is freed once, and not used again.
    let text = unsafe {
        let text = name.to_string();
        NetApiBufferFree(Some(name.0.cast_const().cast()));
        text
    };
    let joined = status == NetSetupDomainName;
    Ok(text.ok().filter(|_| joined))
}

/// Asks a time server once.
fn ask(server: &str) -> HostResult<SignedDuration> {
    let what = format!("time server {server}");
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).doing(&what)?;
    socket.set_read_timeout(Some(PATIENCE)).doing(&what)?;
    let to = if server.contains(':') { server.to_owned() } else { format!("{server}:123") };
    socket.connect(to).doing(&what)?;
    let (sent, mut answer) = (Timestamp::now(), [0; 64]);
    socket.send(&question()).doing(&what)?;
    let count = socket.recv(&mut answer).doing(&what)?;
    let answer = answer.get(..count).unwrap_or_default();
    let why = kiss(answer).map_or_else(|| "does not know the time".to_owned(), |code| format!("refuses ({code})"));
    ahead(answer, sent, Timestamp::now()).ok_or_else(|| unexpected(format!("{what}: {why}")))
}

/// Asks one after the other, until one tells the time: a server that is asked too often refuses, and says nothing of the clock.
fn ask_any(servers: &[String]) -> HostResult<Option<SignedDuration>> {
    let mut said = Ok(None);
    for server in servers {
        said = ask(server).map(Some);
        if said.is_ok() {
            break;
        }
    }
    said
}

/// Whether Netlogon's channel to this domain holds, verified now.
fn channel_holds(domain: &str) -> HostResult<bool> {
    let name = super::border::wide(domain);
    let (text, mut info): (*const u16, *mut u8) = (name.as_ptr(), std::ptr::null_mut());
    // SAFETY: for this code the data is a pointer to the domain's name, which outlives the call.
    let asked =
        unsafe { I_NetLogonControl2(None, NETLOGON_CONTROL_TC_VERIFY, 2, (&raw const text).cast(), &raw mut info) };
    win32(WIN32_ERROR(asked), "secure channel")?;
    // SAFETY: after success at level 2 the buffer begins with this structure; it is freed once, and not used again.
    let status = unsafe {
        let status = info.cast::<NETLOGON_INFO_2>().read_unaligned().netlog2_tc_connection_status;
        NetApiBufferFree(Some(info.cast_const().cast()));
        status
    };
    Ok(status == 0)
}

impl Clock for WindowsHost {
    fn clock_ahead(&self) -> HostResult<Option<SignedDuration>> {
        ask_any(&time_servers()?)
    }

    fn secure_channel(&self) -> HostResult<Option<bool>> {
        domain()?.map(|domain| channel_holds(&domain)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn the_domain_of_the_name_service_is_a_name_or_none() {
        assert!(dns_domain().is_none_or(|name| !name.is_empty() && !name.contains('\0')));
    }

    /// A time server that answers once, with this stratum and code: an hour before now.
    fn server(stratum: u8, code: [u8; 4]) -> String {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = server.local_addr().expect("an address").to_string();
        thread::spawn(move || {
            let (_, from) = server.recv_from(&mut [0; 64]).expect("a question");
            // In seconds since 1900.
            let seconds = u32::try_from(Timestamp::now().as_second() + 2_208_988_800 - 3600).expect("before 2036");
            let mut answer = [0u8; 48];
            (answer[0], answer[1]) = (0x24, stratum);
            answer[12..16].copy_from_slice(&code);
            answer[32..36].copy_from_slice(&seconds.to_be_bytes());
            answer[40..44].copy_from_slice(&seconds.to_be_bytes());
            server.send_to(&answer, from).expect("an answer");
        });
        address
    }

    #[test]
    fn a_time_server_is_asked_and_believed() {
        let ahead = ask_any(&[server(2, [0; 4])]).expect("it answers").expect("there is one").as_secs();
        assert!((3590..=3610).contains(&ahead), "{ahead}");
        assert_eq!(ask_any(&[]), Ok(None), "no server, and nothing to be compared with");
    }

    #[test]
    fn one_that_refuses_is_no_word_on_the_clock_and_the_next_one_is_asked() {
        let refused = ask_any(&[server(0, *b"RATE")]).expect_err("it refuses");
        assert!(refused.message.ends_with("refuses (RATE)"), "{refused}");
        let ahead = ask_any(&[server(0, *b"RATE"), server(2, [0; 4])]).expect("the second answers");
        assert!(ahead.is_some_and(|ahead| (3590..=3610).contains(&ahead.as_secs())), "{ahead:?}");
    }
}
