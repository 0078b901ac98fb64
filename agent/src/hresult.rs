//! What Windows' error codes mean for the work, as data.
//!
//! Names and values are those of the source that each entry names; the classes are ours. A code that is not in the table
//! is permanent for the update it was given for, and reported with its number.

mod table;

pub use table::TABLE;
use windlass_protocol::ErrorClass;

/// What a code means for the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// There is nothing left to do: already there.
    AlreadyDone,
    /// Done, up to a reboot.
    RebootNeeded,
    /// Somebody else is at work; wait and ask again.
    Busy,
    /// May pass by itself: network, a service that is stopping.
    Retriable,
    /// A pending reboot is in the way.
    RebootFirst,
    /// The machine does not want this update.
    NotApplicable,
    /// The machine's configuration forbids it.
    Configuration,
    /// The disk is full.
    DiskFull,
    /// Windows' component store is damaged or lacks a source; only a repair or a revert helps.
    ComponentStore,
    /// Would not pass by trying again.
    Permanent,
}

impl Class {
    /// The class as the protocol reports it; `None` where the code is no error.
    pub fn error_class(self) -> Option<ErrorClass> {
        match self {
            Self::AlreadyDone | Self::RebootNeeded => None,
            Self::Busy | Self::Retriable => Some(ErrorClass::Retriable),
            Self::RebootFirst => Some(ErrorClass::RebootFirst),
            Self::Configuration => Some(ErrorClass::Configuration),
            Self::DiskFull => Some(ErrorClass::DiskFull),
            Self::NotApplicable | Self::ComponentStore | Self::Permanent => Some(ErrorClass::Permanent),
        }
    }
}

/// One code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The HRESULT.
    pub code: u32,
    /// Its symbolic name.
    pub name: &'static str,
    /// What it means for the work.
    pub class: Class,
    /// One sentence for the person who reads it.
    pub advice: &'static str,
    /// Where name and value are from.
    pub source: &'static str,
}

/// Looks a code up.
pub fn find(code: u32) -> Option<&'static Entry> {
    TABLE.binary_search_by_key(&code, |e| e.code).ok().and_then(|at| TABLE.get(at))
}

/// Whether a code says failure: its highest bit is set.
pub const fn is_failure(code: u32) -> bool {
    code & 0x8000_0000 != 0
}

/// What a code means for the work: success codes that are not in the table are [`Class::AlreadyDone`], unknown
/// failures [`Class::Permanent`].
pub fn class(code: u32) -> Class {
    let otherwise = if is_failure(code) { Class::Permanent } else { Class::AlreadyDone };
    find(code).map_or(otherwise, |e| e.class)
}

/// One sentence of what was attempted, the code, its name and what it means.
pub fn describe(code: u32, what: &str) -> String {
    match find(code) {
        Some(e) => format!("{what}: {code:#010X} {}: {}", e.name, e.advice),
        None => format!("{what}: {code:#010X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_each_code_once() {
        assert!(TABLE.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert!(TABLE.iter().all(|e| find(e.code) == Some(e)), "each is found by its code");
        for e in TABLE {
            assert!(!e.name.is_empty() && !e.advice.is_empty() && !e.source.is_empty(), "{:#X}", e.code);
        }
    }

    /// The classes of the whole table, written a second time, by what the operator will see.
    #[test]
    fn each_code_has_its_class() {
        #[rustfmt::skip]
        let expect: &[(Option<ErrorClass>, &[u32])] = &[
            (None, &[0, 0x0024_0005, 0x0024_0006, 0x0024_0008, 0x8007_0BC2, 0x8024_0024]),
            (
                Some(ErrorClass::Retriable),
                &[
                    0x8004_1069, 0x8007_0020, 0x8007_045B, 0x8007_05B4, 0x8007_0652, 0x8007_06BA, 0x8007_06BE, 0x8007_2EE2,
                    0x8007_2EE7, 0x8007_2EFD, 0x8007_2EFE, 0x8007_2EFF, 0x8007_2F8F, 0x8008_0005, 0x8024_4010,
                    0x8024_0009, 0x8024_001B, 0x8024_001E, 0x8024_001F, 0x8024_0021, 0x8024_0041, 0x8024_004A, 0x8024_0438,
                    0x8024_401C, 0x8024_401F, 0x8024_4021, 0x8024_4022, 0x8024_4023, 0x8024_402C, 0x8024_6008,
                ],
            ),
            (Some(ErrorClass::RebootFirst), &[0x8007_0BC9, 0x8024_0016, 0x8024_2014]),
            (
                Some(ErrorClass::Configuration),
                &[
                    0x8007_0005, 0x8007_0422, 0x8024_002E, 0x8024_002F, 0x8024_0044, 0x8024_4017, 0x8024_4018, 0x8024_401B,
                ],
            ),
            (Some(ErrorClass::DiskFull), &[0x8007_0070]),
            (
                Some(ErrorClass::Permanent),
                &[
                    0x8007_0643, 0x8007_3701, 0x8007_3712, 0x800B_0109, 0x800F_081E, 0x800F_081F, 0x800F_0823, 0x800F_0831,
                    0x800F_0922, 0x800F_0982, 0x800F_0983, 0x800F_0986, 0x800F_0988, 0x8024_000B, 0x8024_0017, 0x8024_0019,
                    0x8024_0020, 0x8024_0022, 0x8024_0028, 0x8024_0032, 0x8024_0069, 0x8024_4019, 0xA057_0001, 0xDEAD_BEEF,
                ],
            ),
        ];
        for (want, codes) in expect {
            for code in *codes {
                assert_eq!(class(*code).error_class(), *want, "{code:#X}");
            }
        }
        let named: usize = expect.iter().map(|(_, codes)| codes.len()).sum();
        assert_eq!(named - 2, TABLE.len(), "all but success and the unknown code are in the table");
    }

    #[test]
    fn an_unknown_code_is_told_by_its_number() {
        assert_eq!(describe(0x8000_FFFF, "install"), "install: 0x8000FFFF");
        assert!(describe(0x8007_0070, "download").ends_with("ERROR_DISK_FULL: free space on the system disk"));
    }
}
