//! The event log: the question, and one event as XML.

use jiff::Timestamp;

/// The critical events and errors of the System log, and two warnings of disks that mean the same (51 a paging error,
/// 153 a retried operation). With a time, those since then.
pub(crate) fn query(since: Option<Timestamp>) -> String {
    let after = since.map(|t| format!(" and TimeCreated[@SystemTime>='{t:.3}']")).unwrap_or_default();
    format!("*[System[(Level=1 or Level=2 or ((EventID=51 or EventID=153) and Level=3)){after}]]")
}

/// The source of what the service manager logs.
const SERVICES: &str = "Service Control Manager";

/// Events of the service manager that are about one service: it did not start (7000), ended with an error (7023, 7024),
/// or ended unexpectedly (7031, 7034). Which one it is makes the difference between a retired service and a dead kubelet.
const ABOUT_A_SERVICE: [&str; 5] = ["7000", "7023", "7024", "7031", "7034"];

/// What of an event tells its kind: `source/id`, and, where it is about a service, the service's short name. The source
/// is without Microsoft's common prefix.
pub(crate) fn kind(xml: &str) -> Option<String> {
    let source = attribute(xml, "Provider", "Name")?;
    let short = source.strip_prefix("Microsoft-Windows-").unwrap_or(source);
    let id = element(xml, "EventID")?;
    id.parse::<u32>().ok()?;
    let service = (source == SERVICES && ABOUT_A_SERVICE.contains(&id)).then(|| service(xml)).flatten();
    Some(service.map_or_else(|| unescape(&format!("{short}/{id}")), |name| format!("{}/{id}/{name}", unescape(short))))
}

/// The service that an event is about: its short name, which the event carries as binary data. The first text is the
/// display name, which is another one in each language; it counts where there is nothing else.
fn service(xml: &str) -> Option<String> {
    let data = xml.split_once("<EventData")?.1;
    let shown = || element(data, "Data").filter(|text| !text.is_empty()).map(unescape);
    element(data, "Binary").and_then(short_name).or_else(shown)
}

/// The text of binary data: UTF-16 up to its zero, as hexadecimal digits. Some events put a state behind a slash, which
/// no name of a service has.
fn short_name(hex: &str) -> Option<String> {
    let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|d| u8::try_from(d[0] << 4 | d[1]).ok()).collect::<Option<_>>()?;
    let units = bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).take_while(|unit| *unit != 0);
    let text: String = char::decode_utf16(units).collect::<Result<_, _>>().ok()?;
    let name = text.split('/').next().unwrap_or_default();
    (!name.is_empty() && !name.chars().any(char::is_control)).then(|| name.to_owned())
}

/// The value of an attribute of the first element of this name.
fn attribute<'a>(xml: &'a str, element: &str, name: &str) -> Option<&'a str> {
    let tag = xml.split_once(&format!("<{element} "))?.1.split_once('>')?.0;
    let value = tag.split_once(&format!("{name}="))?.1;
    let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    value.get(1..)?.split_once(quote).map(|(value, _)| value)
}

/// The text of the first element of this name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let inside = xml.split_once(&format!("<{name}"))?.1.split_once('>')?.1;
    inside.split_once('<').map(|(text, _)| text.trim())
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

/// An event as the log renders it, for tests: of this source and number, with this display name and binary data.
#[cfg(test)]
pub(crate) fn sample(source: &str, id: &str, shown: &str, binary: &str) -> String {
    let binary = if binary.is_empty() { String::new() } else { format!("<Binary>{binary}</Binary>") };
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='{source}' \
         Guid='{{555908d1-a6d7-4695-8e1e-26931d2012f4}}' EventSourceName='{source}'/><EventID Qualifiers='49152'>{id}</EventID>\
         <Version>0</Version><Level>2</Level><TimeCreated SystemTime='2025-01-16T03:12:45.0000000Z'/></System><EventData>\
         <Data Name='param1'>{shown}</Data><Data Name='param2'>%%3489660935</Data>{binary}</EventData></Event>"
    )
}

/// The binary data of an event about this service, for tests.
#[cfg(test)]
pub(crate) fn binary(service: &str) -> String {
    use std::fmt::Write;
    service.encode_utf16().chain([0]).fold(String::new(), |mut hex, unit| {
        let _ = write!(hex, "{:04X}", unit.swap_bytes());
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL_POWER: &str = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
        <Provider Name='Microsoft-Windows-Kernel-Power' Guid='{331C3B3A-2005-44C2-AC5E-77220C37D6B4}'/><EventID>41</EventID>\
        <Version>8</Version><Level>1</Level><TimeCreated SystemTime='2024-07-10T03:12:45.0000000Z'/></System>\
        <EventData><Data Name='BugcheckCode'>0</Data></EventData></Event>";
    const SERVICE: &str = "<Event><System><Provider Name=\"Service Control Manager\" EventSourceName=\"x\"/>\
        <EventID Qualifiers='49152'>7031</EventID></System><EventData><Data Name='param1'>Host Network &amp; Service</Data>\
        <Data Name='param2'>1</Data></EventData></Event>";

    #[test]
    fn a_kind_is_source_and_number() {
        assert_eq!(kind(KERNEL_POWER).as_deref(), Some("Kernel-Power/41"));
        assert_eq!(kind(SERVICE).as_deref(), Some("Service Control Manager/7031/Host Network & Service"));
    }

    #[test]
    fn a_service_is_told_by_its_short_name_in_every_language() {
        // The binary data of the event 7000 in Microsoft's own example.
        assert_eq!(binary("MSSQLSERVER"), "4D005300530051004C005300450052005600450052000000");
        let kind_of = |id: &str, shown: &str, binary: &str| kind(&sample(SERVICES, id, shown, binary)).expect("a kind");
        for id in ABOUT_A_SERVICE {
            let seen = kind_of(id, "Hostnetzwerkdienst", &binary("hns"));
            assert_eq!(seen, format!("Service Control Manager/{id}/hns"));
        }
        assert_eq!(kind_of("7009", "30000", &binary("hns")), "Service Control Manager/7009");
        assert_eq!(kind_of("7031", "A", &binary("hns/1")), "Service Control Manager/7031/hns");
        for no_name in ["", "0", "00", "0000", "zz00", "0A00", "0100", "00D8", "2F000000", "\u{e9}\u{e9}"] {
            assert_eq!(kind_of("7034", "A &amp; B", no_name), "Service Control Manager/7034/A & B", "{no_name}");
        }
        assert_eq!(kind_of("7034", "", ""), "Service Control Manager/7034");
        assert_eq!(kind(&sample("Other", "7031", "A", &binary("hns"))).as_deref(), Some("Other/7031"));
    }

    #[test]
    fn what_is_no_event_has_no_kind() {
        for xml in
            ["", "<Event/>", "<Event><System><Provider Name='x'/><EventID>y</EventID></System></Event>", "<Provider "]
        {
            assert_eq!(kind(xml), None, "{xml}");
        }
    }

    #[test]
    fn the_question_has_its_time() {
        assert!(!query(None).contains("TimeCreated"));
        assert!(query(Some(Timestamp::UNIX_EPOCH)).contains("TimeCreated[@SystemTime>='1970-01-01T00:00:00.000Z']"));
    }
}
