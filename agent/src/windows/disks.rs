//! Disks: which are online, what is free, BitLocker.

use super::border::{Doing, optional, system_program, text as words, unexpected, wide};
use super::{WindowsHost, wmi};
use crate::host::{BitLocker, Disk, Disks, HostResult, SYSTEM_DISK};
use crate::shape::volumes::{Volume, disks_of, own, system, texts};
use std::ffi::CStr;
use std::mem::offset_of;
use windows::Win32::Foundation::HANDLE;
use windows::Win32::Storage::FileSystem::{
    CreateFileW, FILE_FLAGS_AND_ATTRIBUTES, FILE_SHARE_READ, FILE_SHARE_WRITE, FindFirstVolumeW, FindNextVolumeW,
    FindVolumeClose, GetDiskFreeSpaceExW, GetVolumePathNamesForVolumeNameW, OPEN_EXISTING,
};
use windows::Win32::System::IO::DeviceIoControl;
use windows::Win32::System::Ioctl::{
    DISK_ATTRIBUTE_OFFLINE, GET_DISK_ATTRIBUTES, IOCTL_DISK_GET_DISK_ATTRIBUTES, IOCTL_STORAGE_QUERY_PROPERTY,
    PropertyStandardQuery, STORAGE_DEVICE_DESCRIPTOR, STORAGE_PROPERTY_QUERY, StorageDeviceProperty,
};
use windows::core::{Owned, w};

/// `IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS`, which the crate `windows` does not have: `CTL_CODE('V', 0, METHOD_BUFFERED,
/// FILE_ANY_ACCESS)`, as Microsoft documents.
const IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS: u32 = 0x0056_0000;

/// Highest number of a disk that is looked for, ours: clouds attach at most 128 to a machine.
const MOST_DISKS: u32 = 128;

/// Longest name of a volume (`\\?\Volume{GUID}\`) in characters, its zero with it: 50, as Microsoft documents.
const MOST_NAME: usize = 50;

/// Most characters of all paths of one volume, ours: the longest path that Windows takes.
const MOST_PATHS: usize = 32_768;

/// Most extents of one volume, ours: one that spans more disks than that is on no node.
const MOST_EXTENTS: usize = 32;

/// `ERROR_INVALID_FUNCTION` and `ERROR_NOT_SUPPORTED`: a driver does not know the question.
const INVALID_FUNCTION: u32 = 0x8007_0001;
const NOT_SUPPORTED: u32 = 0x8007_0032;

/// The disk of this number, opened to be asked only; `None` when there is none.
fn open(number: u32) -> HostResult<Option<Owned<HANDLE>>> {
    optional(open_device(&format!(r"\\.\PhysicalDrive{number}")))
}

fn open_device(name: &str) -> HostResult<Owned<HANDLE>> {
    let device = wide(name);
    let share = FILE_SHARE_READ | FILE_SHARE_WRITE;
    // SAFETY: the name outlives the call. No access is asked, which is enough for questions.
    let opened = unsafe { CreateFileW(&device, 0, share, None, OPEN_EXISTING, FILE_FLAGS_AND_ATTRIBUTES(0), None) };
    // SAFETY: the handle is ours, and owned from here.
    opened.doing(name).map(|handle| unsafe { Owned::new(handle) })
}

/// All volumes that lie on disks. One that does not say where (a CD, one that just goes) is on none.
fn volumes() -> HostResult<Vec<Volume>> {
    let (mut name, mut volumes) = ([0u16; MOST_NAME], vec![]);
    // SAFETY: the call writes into the buffer it is given, at most its length; the search is closed below.
    let search = unsafe { FindFirstVolumeW(&mut name) }.doing("volumes")?;
    loop {
        let volume = words(&name);
        if let (Ok(paths), Ok(disks)) = (paths(&volume), extents(&volume)) {
            volumes.push(Volume { paths, disks });
        }
        // SAFETY: the search is open; the buffer is as above. It ends with an error that says so.
        if unsafe { FindNextVolumeW(search, &mut name) }.is_err() {
            break;
        }
    }
    // SAFETY: the search is ours, and closed once.
    let _ = unsafe { FindVolumeClose(search) };
    Ok(volumes)
}

/// The paths that a volume (`\\?\Volume{...}\`) is mounted at: letters and folders.
fn paths(volume: &str) -> HostResult<Vec<String>> {
    let (name, mut buffer, mut length) = (wide(volume), vec![0u16; MOST_PATHS], 0);
    // SAFETY: the name outlives the call, which writes at most the buffer's length.
    unsafe { GetVolumePathNamesForVolumeNameW(&name, Some(&mut buffer), &raw mut length) }.doing(volume)?;
    Ok(texts(&buffer))
}

/// The disks that a volume lies on.
fn extents(volume: &str) -> HostResult<Vec<u32>> {
    // With its last backslash the name is that of the folder at its top.
    let device = open_device(volume.trim_end_matches('\\'))?;
    let (mut answer, mut got) = ([0u64; 1 + 3 * MOST_EXTENTS], 0);
    let (into, size) = (Some(answer.as_mut_ptr().cast()), u32::try_from(size_of_val(&answer)).unwrap_or(0));
    // SAFETY: the volume is open; the answer has the size that is said.
    unsafe {
        DeviceIoControl(*device, IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS, None, 0, into, size, Some(&raw mut got), None)
    }
    .doing(volume)?;
    Ok(disks_of(&answer))
}

fn online(disk: HANDLE) -> HostResult<bool> {
    let (mut attributes, mut got) = (GET_DISK_ATTRIBUTES::default(), 0);
    let size = u32::try_from(size_of_val(&attributes)).unwrap_or(u32::MAX);
    let into = Some((&raw mut attributes).cast());
    // SAFETY: the disk is open; the answer has the size that is said.
    let asked =
        unsafe { DeviceIoControl(disk, IOCTL_DISK_GET_DISK_ATTRIBUTES, None, 0, into, size, Some(&raw mut got), None) };
    match asked.doing("attributes of a disk") {
        // A driver without such attributes can not take its disk offline.
        Err(e) if matches!(e.hresult, INVALID_FUNCTION | NOT_SUPPORTED) => Ok(true),
        Err(e) => Err(e),
        Ok(()) => Ok(attributes.Attributes & DISK_ATTRIBUTE_OFFLINE == 0),
    }
}

/// The name of a disk of this number.
fn name(number: u32, disk: HANDLE, system: bool) -> HostResult<String> {
    if system {
        return Ok(SYSTEM_DISK.to_owned());
    }
    let label = label(disk)?;
    Ok(if label.is_empty() { format!("disk{number}") } else { label })
}

/// What a disk is: product and serial number, which keep when disks are counted anew.
fn label(disk: HANDLE) -> HostResult<String> {
    let query = STORAGE_PROPERTY_QUERY {
        PropertyId: StorageDeviceProperty,
        QueryType: PropertyStandardQuery,
        AdditionalParameters: [0],
    };
    let (mut buffer, mut got) = ([0u64; 128], 0);
    let (question, into) = (Some((&raw const query).cast()), Some(buffer.as_mut_ptr().cast()));
    let (asked, size) =
        (u32::try_from(size_of_val(&query)).unwrap_or(0), u32::try_from(size_of_val(&buffer)).unwrap_or(0));
    // SAFETY: the disk is open; question and answer have the sizes that are said.
    unsafe {
        DeviceIoControl(disk, IOCTL_STORAGE_QUERY_PROPERTY, question, asked, into, size, Some(&raw mut got), None)
    }
    .doing("identity of a disk")?;
    let bytes: Vec<u8> = buffer.iter().flat_map(|word| word.to_ne_bytes()).take(got as usize).collect();
    let product = text(&bytes, offset_of!(STORAGE_DEVICE_DESCRIPTOR, ProductIdOffset));
    let serial = text(&bytes, offset_of!(STORAGE_DEVICE_DESCRIPTOR, SerialNumberOffset));
    Ok([product, serial].into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// The text of a descriptor whose place stands at `field`; 0 there means that there is none.
fn text(descriptor: &[u8], field: usize) -> Option<String> {
    let place = u32::from_ne_bytes(descriptor.get(field..field + 4)?.try_into().ok()?);
    let from = descriptor.get(place as usize..).filter(|_| place != 0)?;
    let text = CStr::from_bytes_until_nul(from).ok()?.to_string_lossy().trim().to_owned();
    Some(text).filter(|text| !text.is_empty())
}

/// The system disk's protection by BitLocker, as WMI tells it (`ProtectionStatus`: 0 off, 1 on, 2 unknown; and
/// `ConversionStatus`: 0 is not encrypted).
fn bitlocker() -> HostResult<BitLocker> {
    /// `WBEM_E_INVALID_NAMESPACE`: the feature is not installed.
    const NO_NAMESPACE: u32 = 0x8004_100E;
    let ask = |column| {
        let wql = "SELECT * FROM Win32_EncryptableVolume WHERE DriveLetter='C:'";
        wmi::numbers(r"root\cimv2\Security\MicrosoftVolumeEncryption", wql, column)
    };
    let protection = match ask(w!("ProtectionStatus")) {
        Err(e) if e.hresult == NO_NAMESPACE => return Ok(BitLocker::Off),
        other => other?,
    };
    Ok(match (protection.first(), ask(w!("ConversionStatus"))?.first()) {
        (None, _) | (Some(0), Some(0)) => BitLocker::Off,
        (Some(0), _) => BitLocker::Suspended,
        (Some(1), _) => BitLocker::On,
        _ => BitLocker::Unknown,
    })
}

impl Disks for WindowsHost {
    fn disks(&self) -> HostResult<Vec<Disk>> {
        let (volumes, folder, mut disks) = (volumes()?, system_program("")?, vec![]);
        for number in 0..MOST_DISKS {
            let Some(disk) = open(number)? else { continue };
            if online(*disk)? {
                let name = name(number, *disk, system(number, &volumes, &folder))?;
                disks.push(Disk { name, own: own(number, &volumes) });
            }
        }
        disks.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        if disks.is_empty() { Err(unexpected("disks: none is online")) } else { Ok(disks) }
    }

    fn free_bytes(&self) -> HostResult<u64> {
        let (folder, mut free) = (wide(self.folder.path("").to_string_lossy()), 0);
        // SAFETY: the name outlives the call, which writes one number.
        unsafe { GetDiskFreeSpaceExW(&folder, Some(&raw mut free), None, None) }.doing("free space")?;
        Ok(free)
    }

    fn bitlocker(&self) -> HostResult<BitLocker> {
        bitlocker()
    }
}
