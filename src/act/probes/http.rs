//! Probe `http` (needs a client): a URL answers as expected, asked from a pod on the node.

use super::{ProbeVerdict, Subject, pod};
use crate::act::ActError;
use crate::api::HttpProbe;

/// How long one request may take, as the probe program reads it.
const REQUEST_TIMEOUT: &str = "5s";

pub(super) async fn probe(subject: &Subject<'_>, name: &str, probe: &HttpProbe) -> Result<ProbeVerdict, ActError> {
    let image = &subject.means.config.probe_image;
    pod::probe(subject, name, image, &command(probe), probe.timeout.get()).await
}

fn command(probe: &HttpProbe) -> Vec<String> {
    let statuses: Vec<_> = probe.expect_status.iter().map(ToString::to_string).collect();
    let statuses = statuses.join(",");
    ["windlass-probe", "http", "--url", &probe.url, "--expect-status", &statuses, "--timeout", REQUEST_TIMEOUT]
        .map(str::to_owned)
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_program_is_told_everything() {
        let json = r#"{"url": "http://shop.example/", "expectStatus": [200, 204]}"#;
        let probe: HttpProbe = serde_json::from_str(json).expect("a probe");
        let want = "windlass-probe http --url http://shop.example/ --expect-status 200,204 --timeout 5s";
        assert_eq!(command(&probe).join(" "), want);
        let read = windlass_probe::Http::parse(command(&probe).into_iter().skip(1)).expect("the program's arguments");
        assert_eq!((read.url.as_str(), read.expect_status), ("http://shop.example/", vec![200, 204]));
    }

    /// What it says is shown in whole.
    const _: () = assert!(windlass_probe::MAX_LINE <= pod::MAX_MESSAGE);
}
