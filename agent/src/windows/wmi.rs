//! One question to WMI, for what has no other interface.

use super::border::{Com, Doing};
use crate::host::HostResult;
use crate::shape::wmi::next;
use windows::Win32::System::Com::{
    CoSetProxyBlanket, EOAC_NONE, RPC_C_AUTHN_LEVEL_PKT_PRIVACY, RPC_C_IMP_LEVEL_IMPERSONATE,
};
use windows::Win32::System::Rpc::{RPC_C_AUTHN_WINNT, RPC_C_AUTHZ_NONE};
use windows::Win32::System::Variant::VARIANT;
use windows::Win32::System::Wmi::{
    IWbemClassObject, IWbemLocator, IWbemServices, WBEM_FLAG_FORWARD_ONLY, WBEM_FLAG_RETURN_IMMEDIATELY, WbemLocator,
};
use windows::core::{BSTR, PCWSTR};

/// How long one row may take, in milliseconds, ours.
const ROW_TAKES: i32 = 5_000;

/// The numbers that a question finds in one column, a row each.
pub(super) fn numbers(namespace: &str, wql: &str, column: PCWSTR) -> HostResult<Vec<u32>> {
    let com = Com::enter()?;
    let services = connect(&com, namespace)?;
    let flags = WBEM_FLAG_FORWARD_ONLY | WBEM_FLAG_RETURN_IMMEDIATELY;
    // SAFETY: a method of a live object; both texts outlive the call.
    let rows = unsafe { services.ExecQuery(&BSTR::from("WQL"), &BSTR::from(wql), flags, None) }.doing(wql)?;
    let mut found = vec![];
    loop {
        let (mut row, mut count) = ([None::<IWbemClassObject>], 0);
        // SAFETY: a method of a live object, which writes one row and their number.
        let code = unsafe { rows.Next(ROW_TAKES, &mut row, &raw mut count) };
        let [row] = row;
        let Some(row) = next(code.0.cast_unsigned(), row, wql)? else { return Ok(found) };
        let mut value = VARIANT::default();
        // SAFETY: a method of a live object; the column's name is a constant, the value is written once.
        unsafe { row.Get(column, 0, &raw mut value, None, None) }.doing(wql)?;
        found.push(u32::try_from(i32::try_from(&value).doing(wql)?).unwrap_or(u32::MAX));
    }
}

fn connect(com: &Com, namespace: &str) -> HostResult<IWbemServices> {
    let locator: IWbemLocator = com.create(&WbemLocator, "WMI")?;
    let (name, none) = (BSTR::from(namespace), BSTR::new());
    // SAFETY: a method of a live object; all texts outlive the call, empty ones mean this user and this machine.
    let services = unsafe { locator.ConnectServer(&name, &none, &none, &none, 0, &none, None) }.doing(namespace)?;
    let (level, act) = (RPC_C_AUTHN_LEVEL_PKT_PRIVACY, RPC_C_IMP_LEVEL_IMPERSONATE);
    // SAFETY: the proxy lives; null means the own identity. BitLocker's namespace wants privacy.
    unsafe { CoSetProxyBlanket(&services, RPC_C_AUTHN_WINNT, RPC_C_AUTHZ_NONE, None, level, act, None, EOAC_NONE) }
        .doing(namespace)?;
    Ok(services)
}
