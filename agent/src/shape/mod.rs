//! What Windows says, as text and bytes, read into our own words. Pure: no Windows, so it is tested everywhere.
//!
//! The samples in the tests have the shape that Microsoft documents or that the field has recorded.

#![cfg_attr(not(windows), allow(dead_code, reason = "only the Windows side asks"))]

pub(crate) mod certificate;
pub(crate) mod dism;
pub(crate) mod events;
pub(crate) mod hns;
pub(crate) mod ntp;
pub(crate) mod numbers;
pub(crate) mod password;
pub(crate) mod ports;
pub(crate) mod replace;
pub(crate) mod task;
pub(crate) mod volumes;
pub(crate) mod wmi;
pub(crate) mod wua;
