//! The event log.

use super::border::{Doing, unexpected, wide};
use super::{WindowsHost, registry};
use crate::host::{EventSpan, Events, HostResult, Power};
use crate::shape::events::{kind, query};
use std::collections::BTreeSet;
use windows::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, ERROR_NO_MORE_ITEMS, HANDLE};
use windows::Win32::System::EventLog::{
    DeregisterEventSource, EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVT_HANDLE, EvtNext, EvtQuery,
    EvtQueryChannelPath, EvtQueryReverseDirection, EvtRender, EvtRenderEventXml, RegisterEventSourceW, ReportEventW,
};
use windows::core::{Owned, PCWSTR};

/// Events that are looked at, the latest first, ours: a baseline of kinds needs no more, and a log may have a million.
const MOST: usize = 10_000;

/// Events taken at a time.
const BATCH: usize = 64;

/// How long the log may take for a batch, in milliseconds, ours.
const BATCH_TAKES: u32 = 10_000;

/// The agent's own source, in the Application log.
const SOURCE: &str = "Windlass";

/// Where that source is registered.
const SOURCE_KEY: &str = r"SYSTEM\CurrentControlSet\Services\EventLog\Application\Windlass";

/// A file of Windows whose messages 1 to 1000 are the event's own text.
const MESSAGES: &str = r"%SystemRoot%\System32\EventCreate.exe";

/// Number of the agent's events, ours: what happened is in the text.
const ID: u32 = 1;

/// The events that a query finds, as XML.
fn rendered(xpath: &str) -> HostResult<BTreeSet<String>> {
    let flags = EvtQueryChannelPath.0 | EvtQueryReverseDirection.0;
    // SAFETY: both texts outlive the call; the handle is owned from here.
    let found = unsafe { Owned::new(EvtQuery(None, &wide("System"), &wide(xpath), flags).doing("System log")?) };
    let (mut kinds, mut seen) = (BTreeSet::new(), 0);
    while seen < MOST {
        let (mut batch, mut count) = ([0isize; BATCH], 0);
        // SAFETY: the query lives; the call writes as many handles as it says, each owned by us.
        match unsafe { EvtNext(*found, &mut batch, BATCH_TAKES, 0, &raw mut count) } {
            Err(e) if e.code() == ERROR_NO_MORE_ITEMS.to_hresult() => break,
            other => other.doing("System log: next")?,
        }
        for handle in batch.iter().take(count as usize) {
            // SAFETY: a handle that `EvtNext` gave us, owned from here.
            let event = unsafe { Owned::new(EVT_HANDLE(*handle)) };
            kinds.extend(kind(&xml(*event)?));
            seen += 1;
        }
    }
    Ok(kinds)
}

fn xml(event: EVT_HANDLE) -> HostResult<String> {
    let (mut buffer, mut used, mut properties) = (vec![0u16; 4096], 0, 0);
    for _ in 0..2 {
        let size = u32::try_from(buffer.len() * 2).unwrap_or(u32::MAX);
        let (flags, into) = (EvtRenderEventXml.0, Some(buffer.as_mut_ptr().cast()));
        // SAFETY: the event lives; the buffer has the size in bytes that is said.
        match unsafe { EvtRender(None, event, flags, size, into, &raw mut used, &raw mut properties) } {
            Err(e) if e.code() == ERROR_INSUFFICIENT_BUFFER.to_hresult() => buffer.resize(used as usize / 2 + 1, 0),
            other => return other.doing("event as XML").map(|()| super::border::text(&buffer)),
        }
    }
    Err(unexpected("event as XML: it grows"))
}

/// Registers the agent's source, so that its events show their text.
fn register() -> HostResult<()> {
    if registry::string(SOURCE_KEY, "EventMessageFile")?.is_none() {
        registry::set_string(SOURCE_KEY, "EventMessageFile", MESSAGES)?;
        registry::set_number(SOURCE_KEY, "TypesSupported", Some(7))?;
    }
    Ok(())
}

fn report(source: HANDLE, failure: bool, text: &str) -> HostResult<()> {
    let kind = if failure { EVENTLOG_ERROR_TYPE } else { EVENTLOG_INFORMATION_TYPE };
    let text = wide(text);
    let strings = [PCWSTR(text.as_ptr())];
    // SAFETY: the source lives; the text outlives the call.
    unsafe { ReportEventW(source, kind, 0, ID, None, 0, Some(&strings), None) }.doing("event")
}

/// Writes one line under the agent's own source.
pub(super) fn write(failure: bool, text: &str) -> HostResult<()> {
    register()?;
    // SAFETY: the name outlives the call; null means this machine.
    let source = unsafe { RegisterEventSourceW(None, &wide(SOURCE)) }.doing("event source")?;
    let reported = report(source, failure, text);
    // SAFETY: the source is ours, and not used again. That it can not be closed changes nothing.
    let _ = unsafe { DeregisterEventSource(source) };
    reported
}

impl Events for WindowsHost {
    fn critical_events(&self, span: EventSpan) -> HostResult<Vec<String>> {
        let since = match span {
            EventSpan::Kept => None,
            EventSpan::SinceBoot => Some(self.boot_time()?),
        };
        Ok(rendered(&query(since))?.into_iter().collect())
    }

    fn write_event(&mut self, failure: bool, text: &str) -> HostResult<()> {
        write(failure, text)
    }
}
