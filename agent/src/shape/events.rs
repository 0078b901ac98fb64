//! The event log: the question, and one event as XML.

use jiff::Timestamp;

/// The critical events and errors of the System log, and two warnings of disks that mean the same (51 a paging error,
/// 153 a retried operation). With a time, those since then.
pub(crate) fn query(since: Option<Timestamp>) -> String {
    let after = since.map(|t| format!(" and TimeCreated[@SystemTime>='{t:.3}']")).unwrap_or_default();
    format!("*[System[(Level=1 or Level=2 or ((EventID=51 or EventID=153) and Level=3)){after}]]")
}

/// What of an event tells its kind: `source/id`, and, for a service that ended unexpectedly (7031, 7034), its name.
pub(crate) fn kind(xml: &str) -> Option<String> {
    let source = attribute(xml, "Provider", "Name")?;
    let short = source.strip_prefix("Microsoft-Windows-").unwrap_or(source);
    let id = element(xml, "EventID")?;
    id.parse::<u32>().ok()?;
    let service = matches!(id, "7031" | "7034").then(|| first_data(xml)).flatten();
    Some(unescape(&service.map_or_else(|| format!("{short}/{id}"), |name| format!("{short}/{id}/{name}"))))
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

fn first_data(xml: &str) -> Option<&str> {
    element(xml.split_once("<EventData")?.1, "Data").filter(|text| !text.is_empty())
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
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
