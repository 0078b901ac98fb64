//! Whether a VirtualMachine is the one that a node runs on.

use super::wire::Machine;
use crate::domain::NodeRef;
use crate::ports::ProviderError;
use kube::ResourceExt;

/// Refuses a machine whose firmware has another UUID than the node tells (`nodeInfo.systemUUID`). One that is not known is
/// no evidence of another machine.
pub(super) fn is_of(machine: &Machine, node: &NodeRef) -> Result<(), ProviderError> {
    let Some(uuid) = machine.spec.template.spec.domain.firmware.uuid.as_deref() else { return Ok(()) };
    if node.system_uuid.is_empty() || uuid.is_empty() || same(uuid, &node.system_uuid) {
        return Ok(());
    }
    let (name, told) = (machine.name_any(), &node.system_uuid);
    let text =
        format!("VirtualMachine {name} is not node {}: its firmware has the UUID {uuid}, the node {told}", node.name);
    Err(ProviderError::Permanent(text))
}

/// Whether two texts are the same UUID. Some tools show the first three fields of the firmware's table with their bytes in the
/// other order.
fn same(one: &str, other: &str) -> bool {
    let (one, other) = (digits(one), digits(other));
    one == other || one.len() == 32 && swapped(&one) == other
}

fn digits(uuid: &str) -> String {
    uuid.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect()
}

fn swapped(digits: &str) -> String {
    let pairs: Vec<_> = digits.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
    let order = [3, 2, 1, 0, 5, 4, 7, 6].into_iter().chain(8..16);
    order.filter_map(|at| pairs.get(at)).map(AsRef::as_ref).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const UUID: &str = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";

    fn check(firmware: &serde_json::Value, told: &str) -> Result<(), ProviderError> {
        let machine =
            json!({"metadata": {"name": "vm-7"}, "spec": {"template": {"spec": {"domain": {"firmware": firmware}}}}});
        let machine = serde_json::from_value(machine).expect("a machine");
        let (name, uid) = ("win-7".to_owned(), "n".to_owned());
        is_of(&machine, &NodeRef { name, uid, provider_id: "kubevirt://vm-7".into(), system_uuid: told.into() })
    }

    #[test]
    fn a_machine_is_the_nodes_by_its_firmware() {
        let firmware = json!({ "uuid": UUID });
        for same in [UUID, "1B4E28BA-2FA1-11D2-883F-0016D3CCA427", "BA284E1B-A12F-D211-883F-0016D3CCA427"] {
            assert_eq!(check(&firmware, same), Ok(()), "{same}");
        }
        for other in ["1b4e28ba-2fa1-11d2-883f-0016d3cca428", "no uuid"] {
            let error = check(&firmware, other).expect_err(other);
            assert!(
                matches!(&error, ProviderError::Permanent(text) if text.contains("vm-7 is not node win-7")),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_not_known_is_no_evidence() {
        assert_eq!(check(&json!({ "uuid": UUID }), ""), Ok(()));
        assert_eq!(check(&json!({}), UUID), Ok(()));
        assert_eq!(check(&json!({"uuid": ""}), UUID), Ok(()));
    }
}
