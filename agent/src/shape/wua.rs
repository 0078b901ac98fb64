//! The Windows Update Agent: search criteria, and what a search gives.

use crate::host::{FoundUpdate, HostResult, Presence};
use jiff::Timestamp;
use windlass_protocol::{Build, KbId, OfferedUpdate, PinnedUpdate};

/// Our own code (customer bit set) for an update without the properties that every update has. The preview of June
/// 2024 (KB5039302) made the Windows Update Agent hand out such objects.
pub(crate) const WUA_API_BROKEN: u32 = 0xA057_0001;

/// Everything that could be installed or is; "OR" is allowed at the top level only.
const ALL: &str = "(IsInstalled=0 and IsHidden=0) or (IsInstalled=1)";

/// What is installed: a pinned KB may be there in another revision.
const INSTALLED: &str = "(IsInstalled=1 and Type='Software')";

/// The search criteria for exactly these updates and what is installed, or, where none is pinned, for everything.
/// An identity that is no GUID is left out: it would break out of its quotes, and nothing has it.
pub(crate) fn criteria(pinned: &[PinnedUpdate]) -> String {
    let exact = pinned
        .iter()
        .filter(|p| is_guid(&p.update_id))
        .map(|p| format!("(UpdateID='{}' and RevisionNumber={})", p.update_id, p.revision));
    if pinned.is_empty() {
        ALL.to_owned()
    } else {
        exact.chain([INSTALLED.to_owned()]).collect::<Vec<_>>().join(" or ")
    }
}

/// Whether a text is a GUID without braces.
fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// An update as its COM object shows it, before it is believed.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a property of the COM object")]
pub(crate) struct RawUpdate {
    pub update_id: String,
    pub revision: i32,
    pub title: String,
    /// KB numbers, without the letters.
    pub kbs: Vec<String>,
    pub categories: Vec<RawCategory>,
    /// Days since 1899-12-30, UTC.
    pub changed: f64,
    pub max_size: u64,
    pub installed: bool,
    pub downloaded: bool,
    pub reboot_required: bool,
    pub exclusive: bool,
    /// Days since 1899-12-30, UTC.
    pub deadline: Option<f64>,
}

/// One category of an update.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawCategory {
    /// Its GUID, the same in every language.
    pub id: String,
    /// `UpdateClassification`, `Product`, ...
    pub kind: String,
    /// In the language of the machine.
    pub name: String,
}

/// The classifications by their GUIDs (Microsoft, "WSUS Classification GUIDs"), under the names that everybody compares
/// with. The catalogue gives the names in the language of the machine: on a German server nothing is a "Security Update".
const CLASSIFICATIONS: [(&str, &str); 10] = [
    ("e6cf1350-c01b-414d-a61f-263d14d133b4", "Critical Updates"),
    ("e0789628-ce08-4437-be74-2495b842f43b", "Definition Updates"),
    ("ebfc1fc5-71a4-4f7b-9aca-3b9a503104a0", "Drivers"),
    ("b54e7d24-7add-428f-8b75-90a396fa584f", "Feature Packs"),
    ("0fa1201d-4330-4fa8-8ae9-b877473b6441", "Security Updates"),
    ("68c5b0a3-d1a6-4553-ae49-01d3a7827828", "Service Packs"),
    ("b4832bd8-e735-4761-8daf-37f882276dab", "Tools"),
    ("28bc880e-0592-4cbf-8f95-c79b17911d5f", "Update Rollups"),
    ("cd5ffd1e-e932-4e3a-bf74-18bf0b1bbd83", "Updates"),
    ("3689bdc8-b205-4af4-8d4a-a63924c5e9d5", "Upgrades"),
];

/// What the update service says of itself (that it installs, that it wants a reboot). One that is disabled, and could not be
/// started for the question, does neither.
pub(crate) fn of_the_service(said: HostResult<bool>) -> HostResult<bool> {
    /// `ERROR_SERVICE_DISABLED`.
    const DISABLED: u32 = 0x8007_0422;
    match said {
        Err(e) if e.hresult == DISABLED => Ok(false),
        said => said,
    }
}

/// Names an update whose KB is no number of Microsoft's: what somebody else publishes in a WSUS has whatever its maker wrote
/// there. It is left out of what a search finds ([`found`]), and told.
pub(crate) fn foreign(raw: &RawUpdate) -> Option<String> {
    let digits = raw.kbs.first().filter(|_| kb(raw).is_none())?;
    Some(format!("{:?} (KB {digits:?})", raw.title))
}

fn kb(raw: &RawUpdate) -> Option<KbId> {
    format!("KB{}", raw.kbs.first()?).parse().ok()
}

/// Checks an update's shape. One without a KB (most drivers), or with one that is no number, is none that could be pinned:
/// `None`. There is no reason for the others not to be found.
///
/// # Errors
/// The property that is not as it must be.
pub(crate) fn found(raw: RawUpdate) -> Result<Option<FoundUpdate>, String> {
    let broken = |what: &str| format!("WuaApiBroken: update {:?} {:?} {what}", raw.update_id, raw.title);
    if !is_guid(&raw.update_id) {
        return Err(broken("has no identity"));
    }
    let revision = u32::try_from(raw.revision).map_err(|_| broken("has no revision"))?;
    if raw.title.trim().is_empty() {
        return Err(broken("has no title"));
    }
    let released = ole_date(raw.changed).ok_or_else(|| broken("has no date"))?;
    let Some(kb) = kb(&raw) else { return Ok(None) };
    let presence = presence(&raw);
    Ok(Some(FoundUpdate {
        presence,
        exclusive: raw.exclusive,
        deadline: raw.deadline.and_then(ole_date),
        offer: OfferedUpdate {
            kb,
            revision,
            released,
            classification: classification(&raw.categories),
            target_build: build_in_title(&raw.title),
            size_bytes: raw.max_size,
            update_id: raw.update_id,
            title: raw.title,
        },
    }))
}

/// An update that waits for its reboot may say that it is installed as well: the reboot counts.
fn presence(raw: &RawUpdate) -> Presence {
    match (raw.reboot_required, raw.installed, raw.downloaded) {
        (true, ..) => Presence::PendingReboot,
        (_, true, _) => Presence::Installed,
        (_, _, true) => Presence::Downloaded,
        _ => Presence::Offered,
    }
}

/// The category that classifies, in English; as the machine calls it where its GUID is an unknown one, and empty where
/// the catalogue names none.
fn classification(categories: &[RawCategory]) -> String {
    let named = || categories.iter().find(|c| c.kind == "UpdateClassification").map(|c| c.name.clone());
    let known = categories.iter().find_map(|c| english(&c.id));
    known.map(str::to_owned).or_else(named).unwrap_or_default()
}

fn english(id: &str) -> Option<&'static str> {
    let id = id.trim_matches(['{', '}']);
    CLASSIFICATIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(id)).map(|(_, name)| *name)
}

/// The build that the newer titles end with: `... (KB5066782) (20348.4294)`.
fn build_in_title(title: &str) -> Option<Build> {
    let inner = title.trim_end().strip_suffix(')')?.rsplit_once('(')?.1;
    let (build, ubr) = inner.split_once('.')?;
    (build.len() == 5).then_some(())?;
    Some(Build::new(10, 0, build.parse().ok()?, ubr.parse().ok()?))
}

/// An OLE date (days since 1899-12-30) as a time. Zero and less is "no date".
pub(crate) fn ole_date(days: f64) -> Option<Timestamp> {
    /// Days from 1899-12-30 to 1970-01-01.
    const EPOCH: f64 = 25_569.0;
    if !days.is_finite() || days <= 0.0 || days > 100_000.0 {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, reason = "bounded above: fits by far")]
    let seconds = ((days - EPOCH) * 86_400.0).round() as i64;
    Timestamp::from_second(seconds).ok()
}

/// A `DECIMAL` of a size in bytes: 96 bits and a decimal scale. What does not fit is "as large as can be".
pub(crate) fn decimal(high: u32, low: u64, scale: u8) -> u64 {
    let value = u128::from(high) << 64 | u128::from(low);
    let divisor = 10u128.checked_pow(u32::from(scale)).unwrap_or(u128::MAX);
    u64::try_from(value / divisor).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0f2b4a4c-9d1e-4c55-8a3d-1f2e3d4c5b6a";

    fn pin(id: &str, revision: u32) -> PinnedUpdate {
        PinnedUpdate { update_id: id.into(), revision, kb: "KB5040437".parse().expect("a KB") }
    }

    fn category(id: &str, kind: &str, name: &str) -> RawCategory {
        RawCategory { id: id.into(), kind: kind.into(), name: name.into() }
    }

    fn raw() -> RawUpdate {
        RawUpdate {
            update_id: ID.into(),
            revision: 200,
            title: "2025-10 Cumulative Update for Microsoft server operating system (KB5066782) (20348.4294)".into(),
            kbs: vec!["5066782".into()],
            categories: vec![
                category("a-product", "Product", "Microsoft Server operating system-21H2"),
                category("", "UpdateClassification", "Security Updates"),
            ],
            changed: 45_944.5,
            max_size: 412_316_860,
            ..RawUpdate::default()
        }
    }

    #[test]
    fn criteria_name_exactly_the_pinned_revisions() {
        assert_eq!(
            criteria(&[pin(ID, 200)]),
            format!("(UpdateID='{ID}' and RevisionNumber=200) or (IsInstalled=1 and Type='Software')")
        );
        assert_eq!(criteria(&[]), ALL);
        let evil = criteria(&[pin("' or IsInstalled=0 or UpdateID='", 1)]);
        assert_eq!(evil, INSTALLED, "what is no identity can not change the question");
    }

    #[test]
    fn a_good_update_is_taken_as_it_is() {
        let f = found(raw()).expect("a good shape").expect("it has a KB");
        assert_eq!(
            (f.offer.kb.to_string().as_str(), f.offer.revision, f.presence),
            ("KB5066782", 200, Presence::Offered)
        );
        assert_eq!(f.offer.target_build, Some(Build::new(10, 0, 20348, 4294)));
        assert_eq!(f.offer.classification, "Security Updates");
        assert_eq!(f.offer.released.to_string(), "2025-10-14T12:00:00Z");
    }

    #[test]
    fn a_class_has_its_english_name_in_every_language() {
        for (id, name, english) in [
            ("0fa1201d-4330-4fa8-8ae9-b877473b6441", "Sicherheitsupdates", "Security Updates"),
            (
                "{0FA1201D-4330-4FA8-8AE9-B877473B6441}",
                "Mises \u{e0} jour de la s\u{e9}curit\u{e9}",
                "Security Updates",
            ),
            ("3689bdc8-b205-4af4-8d4a-a63924c5e9d5", "Upgrades", "Upgrades"),
            (
                "3689BDC8-B205-4AF4-8D4A-A63924C5E9D5",
                "\u{30a2}\u{30c3}\u{30d7}\u{30b0}\u{30ec}\u{30fc}\u{30c9}",
                "Upgrades",
            ),
            ("", "Security Updates", "Security Updates"),
            ("00000000-0000-0000-0000-000000000000", "Neues", "Neues"),
        ] {
            let categories = vec![category("a-product", "Product", "x"), category(id, "UpdateClassification", name)];
            let f = found(RawUpdate { categories, ..raw() }).expect("a good shape").expect("it has a KB");
            assert_eq!(f.offer.classification, english, "{name}");
        }
        assert_eq!(classification(&[]), "");
    }

    #[test]
    fn a_title_without_build_promises_none() {
        for title in ["2024-07 Cumulative Update (KB5040437)", "x (1.2)", "x", "x (20348.)", "(20348.1) x"] {
            assert_eq!(build_in_title(title), None, "{title}");
        }
    }

    #[test]
    fn an_object_without_its_properties_is_a_broken_api() {
        type Spoil = fn(&mut RawUpdate);
        let cases: [(&str, Spoil); 4] = [
            ("identity", |r| r.update_id.clear()),
            ("revision", |r| r.revision = -1),
            ("title", |r| r.title = " ".into()),
            ("date", |r| r.changed = 0.0),
        ];
        for (property, spoil) in cases {
            let mut update = raw();
            spoil(&mut update);
            let error = found(update).expect_err(property);
            assert!(error.starts_with("WuaApiBroken") && error.contains(property), "{error}");
        }
        assert_eq!(found(RawUpdate { kbs: vec![], ..raw() }), Ok(None), "a driver has no KB");
    }

    #[test]
    fn a_service_that_is_disabled_does_nothing_and_any_other_error_is_one() {
        use crate::host::HostError;
        let failed = |code| of_the_service(Err(HostError::new(code, "IsBusy"))).map_err(|e| e.hresult);
        assert_eq!(failed(0x8007_0422), Ok(false));
        for code in [0x8007_06BA, 0x8007_0005, 0x8024_001E] {
            assert_eq!(failed(code), Err(code));
        }
        assert_eq!((of_the_service(Ok(true)), of_the_service(Ok(false))), (Ok(true), Ok(false)));
    }

    /// Published in a WSUS by somebody else, with a number of their own.
    #[test]
    fn an_update_of_somebody_else_is_left_out_and_told() {
        for number in ["x", "", "7", "KB5066782", "DSA-2025-001", "123456789"] {
            let update = RawUpdate { kbs: vec![number.into()], title: "Firmware".into(), ..raw() };
            assert_eq!(foreign(&update), Some(format!("\"Firmware\" (KB {number:?})")));
            assert_eq!(found(update), Ok(None), "{number}");
        }
        assert_eq!(foreign(&raw()), None);
        assert_eq!(foreign(&RawUpdate { kbs: vec![], ..raw() }), None, "a driver has no KB, which is nothing to tell");
    }

    #[test]
    fn a_pending_reboot_counts_before_all_else() {
        let seen = |reboot_required, installed, downloaded| {
            presence(&RawUpdate { installed, downloaded, reboot_required, ..raw() })
        };
        assert_eq!(seen(true, true, true), Presence::PendingReboot);
        assert_eq!(seen(false, true, true), Presence::Installed);
        assert_eq!(seen(false, false, true), Presence::Downloaded);
        assert_eq!(seen(false, false, false), Presence::Offered);
    }

    #[test]
    fn dates_and_sizes() {
        assert_eq!(ole_date(25_569.0), Some(Timestamp::UNIX_EPOCH));
        for no_date in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert_eq!(ole_date(no_date), None, "{no_date}");
        }
        assert_eq!(decimal(0, 1500, 1), 150);
        assert_eq!(decimal(1, 0, 0), u64::MAX);
        assert_eq!(decimal(0, 7, 255), 0);
    }
}
