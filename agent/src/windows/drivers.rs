//! Drivers of the devices that are present.

use super::border::{Doing, text};
use super::{WindowsHost, registry};
use crate::host::{Driver, DriverClass, Drivers, HostResult};
use windows::Win32::Devices::DeviceAndDriverInstallation::{
    CM_DEVNODE_STATUS_FLAGS, CM_Get_DevNode_Status, CM_PROB, CR_SUCCESS, DIGCF_PRESENT, GUID_DEVCLASS_HDC,
    GUID_DEVCLASS_NET, GUID_DEVCLASS_SCSIADAPTER, HDEVINFO, SETUP_DI_REGISTRY_PROPERTY, SP_DEVINFO_DATA,
    SPDRP_DEVICEDESC, SPDRP_DRIVER, SPDRP_FRIENDLYNAME, SPDRP_SERVICE, SetupDiEnumDeviceInfo, SetupDiGetClassDevsW,
    SetupDiGetDeviceRegistryPropertyW,
};
use windows::core::{GUID, Owned};

/// Where drivers keep their version.
const CLASSES: &str = r"SYSTEM\CurrentControlSet\Control\Class";

/// A problem code of ours, for a device whose status can not be read.
const NO_STATUS: u32 = u32::MAX;

/// The devices of a class that are present.
struct Devices(Owned<HDEVINFO>);

impl Devices {
    fn of(class: &GUID) -> HostResult<Self> {
        // SAFETY: the class id outlives the call; the list is owned from here.
        unsafe { Ok(Self(Owned::new(SetupDiGetClassDevsW(Some(class), None, None, DIGCF_PRESENT).doing("devices")?))) }
    }

    /// The device at a place of the list; `None` past its end.
    fn at(&self, index: u32) -> Option<SP_DEVINFO_DATA> {
        let size = u32::try_from(size_of::<SP_DEVINFO_DATA>()).unwrap_or(u32::MAX);
        let mut device = SP_DEVINFO_DATA { cbSize: size, ..SP_DEVINFO_DATA::default() };
        // SAFETY: the list lives; the structure says its size.
        unsafe { SetupDiEnumDeviceInfo(*self.0, index, &raw mut device) }.ok().map(|()| device)
    }

    /// A text property of a device; empty where it has none.
    fn property(&self, device: &SP_DEVINFO_DATA, property: SETUP_DI_REGISTRY_PROPERTY) -> String {
        let mut bytes = [0u8; 1024];
        // SAFETY: list and device live; the call writes at most the buffer's length.
        let read = unsafe {
            SetupDiGetDeviceRegistryPropertyW(*self.0, &raw const *device, property, None, Some(&mut bytes), None)
        };
        if read.is_err() {
            return String::new();
        }
        let wide: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]])).collect();
        text(&wide)
    }
}

fn problem(device: &SP_DEVINFO_DATA) -> u32 {
    let (mut status, mut problem) = (CM_DEVNODE_STATUS_FLAGS(0), CM_PROB(0));
    // SAFETY: the device came from a list that lives; the call writes two numbers.
    let asked = unsafe { CM_Get_DevNode_Status(&raw mut status, &raw mut problem, device.DevInst, 0) };
    if asked == CR_SUCCESS { problem.0 } else { NO_STATUS }
}

fn of_class(class: DriverClass, id: &GUID, into: &mut Vec<Driver>) -> HostResult<()> {
    let devices = Devices::of(id)?;
    let mut index = 0;
    while let Some(device) = devices.at(index) {
        index += 1;
        let friendly = devices.property(&device, SPDRP_FRIENDLYNAME);
        let key = devices.property(&device, SPDRP_DRIVER);
        let version = registry::string(&format!(r"{CLASSES}\{key}"), "DriverVersion")?;
        into.push(Driver {
            class,
            device: if friendly.is_empty() { devices.property(&device, SPDRP_DEVICEDESC) } else { friendly },
            service: devices.property(&device, SPDRP_SERVICE),
            version: version.unwrap_or_default(),
            problem: problem(&device),
        });
    }
    Ok(())
}

impl Drivers for WindowsHost {
    fn drivers(&self) -> HostResult<Vec<Driver>> {
        let mut drivers = vec![];
        of_class(DriverClass::Network, &GUID_DEVCLASS_NET, &mut drivers)?;
        of_class(DriverClass::Storage, &GUID_DEVCLASS_SCSIADAPTER, &mut drivers)?;
        of_class(DriverClass::Storage, &GUID_DEVCLASS_HDC, &mut drivers)?;
        // What has no driver service is no device that could lose one.
        drivers.retain(|d| !d.service.is_empty());
        Ok(drivers)
    }
}
