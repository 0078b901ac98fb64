//! Who else installs updates on this machine.

use super::Looked;
use crate::host::{FoundUpdate, Host, UpdatePolicy};
use crate::policy;
use crate::probe::Judged;
use crate::rows::rows;
use crate::state::error;
use windlass_protocol::{AutomaticUpdates, ErrorClass, HostCheck, ServiceState};

/// Services of programs that install updates, one a line: service, product. New ones are added there.
const SERVICES: &str = include_str!("update-owners.csv");

/// Automatic updates of Windows that would install and reboot by themselves: held off, or a reason to refuse.
pub(super) fn automatic_updates(host: &dyn Host, automatic: AutomaticUpdates) -> Looked {
    let now = host.update_policy()?;
    let judged = |good, detail: &str| Judged::pass_if(good, words(&now), "nothing that reboots by itself", detail);
    if !policy::reboots_by_itself(&now) {
        return Ok((judged(true, "they do not reboot the machine by themselves"), None));
    }
    Ok(match automatic {
        AutomaticUpdates::Take => (judged(true, "they would reboot the machine; held off until the end"), None),
        AutomaticUpdates::Report => {
            let text = format!("automatic updates: they would install and reboot meanwhile ({})", words(&now));
            (judged(false, "they would reboot the machine"), Some(error(ErrorClass::Configuration, text).into()))
        }
    })
}

fn words(policy: &UpdatePolicy) -> String {
    let value = |name: &str, value: Option<u32>| value.map(|v| format!("{name}={v}"));
    let all = [
        value("NoAutoUpdate", policy.no_auto_update),
        value("AUOptions", policy.au_options),
        value("ConfigureDeadlineForQualityUpdates", policy.deadline_days),
        value("UseWUServer", policy.use_wu_server),
    ];
    let set: Vec<String> = all.into_iter().flatten().collect();
    if set.is_empty() { "no policy".to_owned() } else { set.join(", ") }
}

/// Other programs that install updates: told, never touched. Each is a check of its own, inconclusive where it runs.
pub(super) fn others(host: &dyn Host) -> Vec<HostCheck> {
    let here = |[service, product]: [&str; 2]| {
        // A service that can not be asked for is none that installs.
        let state = host.service(service).ok().flatten()?.state;
        let runs = state == ServiceState::Running;
        runs.then(|| {
            let detail = format!("{product} runs ({service}) and may install or reboot by itself; it is not touched");
            Judged::inconclusive(detail).named("otherOwner")
        })
    };
    rows(SERVICES).filter_map(here).collect()
}

/// Updates that a WSUS administrator wants installed by a certain time, by force.
pub(crate) fn deadlines(found: &[FoundUpdate]) -> Vec<HostCheck> {
    let wanted = found.iter().filter_map(|f| Some((f, f.deadline?)));
    wanted
        .map(|(f, deadline)| {
            let detail = format!("WSUS installs {} by force at {deadline}", f.offer.kb);
            Judged::inconclusive(detail).named("otherOwner")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::lines;

    #[test]
    fn each_row_names_a_service_and_a_product() {
        let full = |[service, product]: &[&str; 2]| !service.is_empty() && !product.is_empty();
        assert_eq!(rows(SERVICES).filter(full).count(), lines(SERVICES).count());
        assert!(rows(SERVICES).any(|[service, _]| service == "CcmExec"));
    }
}
