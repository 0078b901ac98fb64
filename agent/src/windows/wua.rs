//! The Windows Update Agent by COM. Its calls have no deadline: they are made in a job's thread, and the core decides how
//! long it waits. Objects never leave the thread, so each job searches anew for exactly what it is about.

use super::border::{Com, Doing, unexpected};
use super::events;
use crate::host::{FoundUpdate, HistoryEntry, HostError, HostResult, ItemResult};
use crate::shape::wua::{RawCategory, RawUpdate, WUA_API_BROKEN, criteria, decimal, foreign, found, ole_date};
use windlass_protocol::PinnedUpdate;
use windows::Win32::Foundation::{DECIMAL, VARIANT_BOOL, VARIANT_FALSE, VARIANT_TRUE};
use windows::Win32::System::UpdateAgent::{
    IStringCollection, IUpdate, IUpdate2, IUpdateCollection, IUpdateInstaller2, IUpdateSearcher, IUpdateSession,
    IUpdateSession2, UpdateCollection, UpdateSession, iiRequiresExclusiveHandling, orcSucceeded,
    orcSucceededWithErrors, ssManagedServer,
};
use windows::Win32::System::Variant::{VARIANT, VT_DATE};
use windows::core::{BSTR, Interface};

/// How the agent names itself to the update service; it stands in the machine's history.
const CLIENT: &str = "Windlass";

/// The locale `en-US`, in which everybody reads what the catalogue says.
const ENGLISH: u32 = 1033;

/// `WU_E_NO_UPDATE`: the source no longer has it.
const NO_UPDATE: u32 = 0x8024_0024;

/// `WU_E_NO_INTERACTIVE_USER`: the update would ask a person.
const ASKS_A_PERSON: u32 = 0x8024_0020;

/// Which server the machine asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// What the machine's policy says, else Windows Update.
    Default,
    /// The WSUS server of the policy.
    Managed,
}

/// A session with the update service. Fields are dropped in this order: COM is left last.
pub(super) struct Session {
    session: IUpdateSession,
    com: Com,
}

impl Session {
    /// Opens a session of this thread.
    pub fn open() -> HostResult<Self> {
        let com = Com::enter()?;
        let session: IUpdateSession = com.create(&UpdateSession, "Microsoft.Update.Session")?;
        // SAFETY: a method of a live object; the text outlives the call.
        unsafe { session.SetClientApplicationID(&BSTR::from(CLIENT)) }.doing("ClientApplicationID")?;
        // Titles and names in one language on all machines. Where it is refused they come in the machine's own, and
        // nothing that is decided depends on them: see `CLASSIFICATIONS`.
        // SAFETY: a method of a live object.
        let _ = session.cast::<IUpdateSession2>().and_then(|session| unsafe { session.SetUserLocale(ENGLISH) });
        Ok(Self { session, com })
    }

    fn searcher(&self) -> HostResult<IUpdateSearcher> {
        // SAFETY: a method of a live object.
        unsafe { self.session.CreateUpdateSearcher() }.doing("CreateUpdateSearcher")
    }

    /// Searches; a result that is not a success is an error.
    fn search(&self, server: Server, criteria: &str) -> HostResult<Vec<IUpdate>> {
        let searcher = self.searcher()?;
        // SAFETY: methods of live objects; the text outlives the calls.
        let (code, updates) = unsafe {
            if server == Server::Managed {
                searcher.SetServerSelection(ssManagedServer).doing("ServerSelection")?;
            }
            let result = searcher.Search(&BSTR::from(criteria)).doing("Search")?;
            (result.ResultCode().doing("Search: result")?, result.Updates().doing("Search: updates")?)
        };
        if code != orcSucceeded && code != orcSucceededWithErrors {
            return Err(unexpected(format!("Search: result {}", code.0)));
        }
        all(&updates)
    }

    /// What a search finds, checked.
    pub fn find(&self, server: Server, pinned: &[PinnedUpdate]) -> HostResult<Vec<FoundUpdate>> {
        let updates = self.search(server, &criteria(pinned))?;
        let (mut all, mut left_out) = (vec![], vec![]);
        for update in &updates {
            let raw = raw(update)?;
            left_out.extend(foreign(&raw));
            all.extend(found(raw).map_err(|why| HostError::new(WUA_API_BROKEN, why))?);
        }
        tell(&left_out);
        Ok(all)
    }

    /// The objects of exactly these updates, those first that can be worked on; the others with their reason.
    fn exactly(&self, server: Server, pinned: &[PinnedUpdate]) -> HostResult<(Vec<Chosen>, Vec<ItemResult>)> {
        let updates = self.search(server, &criteria(pinned))?;
        let mut shapes = vec![];
        for update in updates {
            shapes.push((raw(&update)?, update));
        }
        let (mut chosen, mut refused) = (vec![], vec![]);
        for pin in pinned {
            match shapes.iter().find(|(raw, _)| is(raw, pin)) {
                None => refused.push(item(pin, NO_UPDATE, false)),
                Some((_, update)) if asks_a_person(update) => refused.push(item(pin, ASKS_A_PERSON, false)),
                Some((_, update)) => chosen.push(Chosen { pin: pin.clone(), update: update.clone() }),
            }
        }
        Ok((chosen, refused))
    }

    /// The collection of the chosen updates, their licence terms accepted.
    fn collection(&self, chosen: &[Chosen]) -> HostResult<IUpdateCollection> {
        let collection: IUpdateCollection = self.com.create(&UpdateCollection, "Microsoft.Update.UpdateColl")?;
        for one in chosen {
            // SAFETY: methods of live objects.
            unsafe {
                if !one.update.EulaAccepted().doing("EulaAccepted")?.as_bool() {
                    one.update.AcceptEula().doing(&format!("AcceptEula of {}", one.pin.kb))?;
                }
                collection.Add(&one.update).doing("list of updates")?;
            }
        }
        Ok(collection)
    }

    /// Downloads exactly these.
    pub fn download(&self, server: Server, pinned: &[PinnedUpdate]) -> HostResult<Vec<ItemResult>> {
        let (chosen, mut items) = self.exactly(server, pinned)?;
        if chosen.is_empty() {
            return Ok(items);
        }
        let collection = self.collection(&chosen)?;
        // SAFETY: methods of live objects.
        let result = unsafe {
            let downloader = self.session.CreateUpdateDownloader().doing("CreateUpdateDownloader")?;
            downloader.SetUpdates(&collection).doing("Download: updates")?;
            downloader.Download().doing("Download")?
        };
        for (index, one) in (0..).zip(&chosen) {
            // SAFETY: methods of live objects; there is a result for each update that was asked.
            let code = unsafe { result.GetUpdateResult(index).and_then(|r| r.HResult()) }.doing("Download: result")?;
            items.push(item(&one.pin, code.cast_unsigned(), false));
        }
        Ok(items)
    }

    /// Installs exactly these, without questions and without a reboot.
    pub fn install(&self, server: Server, pinned: &[PinnedUpdate]) -> HostResult<Vec<ItemResult>> {
        let (chosen, mut items) = self.exactly(server, pinned)?;
        if chosen.is_empty() {
            return Ok(items);
        }
        let collection = self.collection(&chosen)?;
        // SAFETY: methods of live objects.
        let result = unsafe {
            let installer = self.session.CreateUpdateInstaller().doing("CreateUpdateInstaller")?;
            installer.SetAllowSourcePrompts(VARIANT_FALSE).doing("AllowSourcePrompts")?;
            installer.cast::<IUpdateInstaller2>().and_then(|i| i.SetForceQuiet(VARIANT_TRUE)).doing("ForceQuiet")?;
            installer.SetUpdates(&collection).doing("Install: updates")?;
            installer.Install().doing("Install")?
        };
        for (index, one) in (0..).zip(&chosen) {
            // SAFETY: methods of live objects; there is a result for each update that was asked.
            let (code, reboot) = unsafe {
                let each = result.GetUpdateResult(index).doing("Install: result")?;
                (each.HResult().doing("Install: code")?, each.RebootRequired().doing("Install: reboot")?)
            };
            items.push(item(&one.pin, code.cast_unsigned(), reboot.as_bool()));
        }
        Ok(items)
    }

    /// Whether an installation of the update service is at work.
    pub fn busy(&self) -> HostResult<bool> {
        // SAFETY: methods of live objects.
        let busy = unsafe { self.session.CreateUpdateInstaller().and_then(|installer| installer.IsBusy()) };
        Ok(busy.doing("IsBusy")?.as_bool())
    }

    /// The latest entries of the history.
    pub fn history(&self, count: u32) -> HostResult<Vec<HistoryEntry>> {
        let searcher = self.searcher()?;
        // SAFETY: methods of live objects.
        let (there, entries) = unsafe {
            let there = searcher.GetTotalHistoryCount().doing("GetTotalHistoryCount")?;
            let wanted = i32::try_from(count).unwrap_or(i32::MAX).min(there);
            if wanted <= 0 {
                return Ok(vec![]);
            }
            (wanted, searcher.QueryHistory(0, wanted).doing("QueryHistory")?)
        };
        let mut history = vec![];
        for index in 0..there {
            // SAFETY: methods of live objects.
            let entry = unsafe {
                let entry = entries.get_Item(index).doing("history")?;
                let identity = entry.UpdateIdentity().doing("history: identity")?;
                HistoryEntry {
                    at: ole_date(entry.Date().doing("history: date")?).unwrap_or_default(),
                    title: entry.Title().doing("history: title")?.to_string(),
                    update_id: identity.UpdateID().doing("history: identity")?.to_string(),
                    revision: u32::try_from(identity.RevisionNumber().doing("history: revision")?).unwrap_or(0),
                    hresult: entry.HResult().doing("history: code")?.cast_unsigned(),
                }
            };
            history.push(entry);
        }
        Ok(history)
    }
}

/// Most updates of others that are named, ours; the rest is counted.
const MOST_NAMED: usize = 10;

/// Tells in the event log what was left out of a search. Nothing depends on it.
fn tell(left_out: &[String]) {
    if !left_out.is_empty() {
        let named = left_out.get(..MOST_NAMED).unwrap_or(left_out).join(", ");
        let text = format!("updates without a KB number of Microsoft's, left out: {}: {named}", left_out.len());
        let _ = events::write(false, &text);
    }
}

/// One pinned update and its object.
struct Chosen {
    pin: PinnedUpdate,
    update: IUpdate,
}

fn item(pin: &PinnedUpdate, hresult: u32, reboot_required: bool) -> ItemResult {
    ItemResult { update_id: pin.update_id.clone(), revision: pin.revision, hresult, reboot_required }
}

/// Whether an update is the one that is pinned: by identity, revision and KB.
fn is(raw: &RawUpdate, pin: &PinnedUpdate) -> bool {
    raw.update_id.eq_ignore_ascii_case(&pin.update_id)
        && u32::try_from(raw.revision) == Ok(pin.revision)
        && raw.kbs.iter().any(|digits| pin.kb.to_string() == format!("KB{digits}"))
}

fn asks_a_person(update: &IUpdate) -> bool {
    // SAFETY: methods of live objects. An update without a behaviour has no installer that could ask.
    let asks = unsafe { update.InstallationBehavior().and_then(|behaviour| behaviour.CanRequestUserInput()) };
    asks.is_ok_and(VARIANT_BOOL::as_bool)
}

fn all(updates: &IUpdateCollection) -> HostResult<Vec<IUpdate>> {
    // SAFETY: methods of live objects, within the count that they say.
    unsafe {
        let count = updates.Count().doing("updates: count")?;
        (0..count).map(|index| updates.get_Item(index).doing("updates: item")).collect()
    }
}

fn strings(collection: &IStringCollection) -> windows::core::Result<Vec<String>> {
    // SAFETY: methods of live objects, within the count that they say.
    unsafe { (0..collection.Count()?).map(|index| Ok(collection.get_Item(index)?.to_string())).collect() }
}

/// An update's properties. One that can not even be asked is a broken API, as one with a wrong value is.
fn raw(update: &IUpdate) -> HostResult<RawUpdate> {
    read(update).map_err(|e| {
        HostError::new(WUA_API_BROKEN, format!("WuaApiBroken: an update without its properties: {}", e.message()))
    })
}

fn read(update: &IUpdate) -> windows::core::Result<RawUpdate> {
    // SAFETY: methods of live objects; what they return is owned by us.
    unsafe {
        let identity = update.Identity()?;
        // An update from before Windows Vista's agent has no second interface, and waits for no reboot.
        let reboot_required =
            update.cast::<IUpdate2>().and_then(|u| u.RebootRequired()).is_ok_and(VARIANT_BOOL::as_bool);
        let exclusive =
            update.InstallationBehavior().and_then(|b| b.Impact()).ok() == Some(iiRequiresExclusiveHandling);
        Ok(RawUpdate {
            update_id: identity.UpdateID()?.to_string(),
            revision: identity.RevisionNumber()?,
            title: update.Title()?.to_string(),
            kbs: strings(&update.KBArticleIDs()?)?,
            categories: categories(update)?,
            changed: update.LastDeploymentChangeTime()?,
            max_size: bytes(&update.MaxDownloadSize()?),
            installed: update.IsInstalled()?.as_bool(),
            downloaded: update.IsDownloaded()?.as_bool(),
            reboot_required,
            exclusive,
            deadline: date(&update.Deadline()?),
        })
    }
}

fn categories(update: &IUpdate) -> windows::core::Result<Vec<RawCategory>> {
    // SAFETY: methods of live objects, within the count that they say.
    unsafe {
        let categories = update.Categories()?;
        let category = |index| {
            let one = categories.get_Item(index)?;
            // One without a GUID still has its name.
            let id = one.CategoryID().map(|id| id.to_string()).unwrap_or_default();
            Ok(RawCategory { id, kind: one.Type()?.to_string(), name: one.Name()?.to_string() })
        };
        (0..categories.Count()?).map(category).collect()
    }
}

fn bytes(size: &DECIMAL) -> u64 {
    // SAFETY: both unions are plain numbers: every reading of them is valid.
    unsafe { decimal(size.Hi32, size.Anonymous2.Lo64, size.Anonymous1.Anonymous.scale) }
}

/// A date, where the variant is one (it is empty where there is none).
fn date(value: &VARIANT) -> Option<f64> {
    // SAFETY: the type says which member of the union is there.
    unsafe {
        let inner = &value.Anonymous.Anonymous;
        (inner.vt == VT_DATE).then(|| inner.Anonymous.date)
    }
}
