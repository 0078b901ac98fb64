//! From a node to its EC2 instance, and from a region to where AWS listens.

use crate::domain::NodeRef;
use crate::ports::ProviderError;

/// The scheme of machines that this provider takes. The cloud provider's node controller writes
/// `aws:///<zone>/<instance>`.
const SCHEME: &str = "aws:///";

/// An EC2 instance, as its node names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    /// The node's name.
    pub node: String,
    pub instance: String,
    pub zone: String,
}

impl Machine {
    /// The instance behind a node.
    ///
    /// # Errors
    /// [`ProviderError::Permanent`] when the providerID has another form, or another region's zone.
    pub(super) fn of(node: &NodeRef, region: &str) -> Result<Self, ProviderError> {
        let refuse = |why: String| Err(ProviderError::Permanent(format!("node {}: {why}", node.name)));
        let id = &node.provider_id;
        let parts = id.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/'));
        let Some((zone, instance)) = parts.filter(|(_, instance)| is_id(instance, "i")) else {
            return refuse(format!("providerID {id:?} is not {SCHEME}<zone>/<instance>"));
        };
        match region_of(zone) {
            Some(of) if of == region => {
                Ok(Self { node: node.name.clone(), instance: instance.to_owned(), zone: zone.to_owned() })
            }
            Some(of) => refuse(format!("it is in region {of}, and spec.provider.aws.region is {region}")),
            None => refuse(format!("providerID {id:?}: {zone:?} is no zone")),
        }
    }
}

/// Whether a text is an id of this kind as EC2 makes them: prefix, dash, 8 or 17 hex digits.
pub(super) fn is_id(text: &str, prefix: &str) -> bool {
    let hex = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
    hex.is_some_and(|hex| matches!(hex.len(), 8 | 17) && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The region of a zone: up to and with the first part that is a number, without the zone's letter. Local zones
/// (`us-west-2-lax-1a`) and Wavelength zones (`us-east-1-wl1-bos-wlz-1`) have more parts behind it.
fn region_of(zone: &str) -> Option<&str> {
    let mut end = 0;
    for (at, part) in zone.split('-').enumerate() {
        end += part.len() + usize::from(at > 0);
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            let is_zone = end < zone.len() || part.len() == digits + 1;
            return (at >= 2 && is_zone).then(|| &zone[..end - (part.len() - digits)]);
        }
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_lowercase()) {
            return None;
        }
    }
    None
}

/// Where a service listens in a region.
pub(super) fn host(service: &str, region: &str) -> String {
    format!("{service}.{region}.{}", domain(region))
}

/// The domain of the partition that a region lies in (botocore 1.44.5, `endpoints.json`, `partitions.json`).
fn domain(region: &str) -> &'static str {
    const DOMAINS: [(&str, &str); 6] = [
        ("cn-", "amazonaws.com.cn"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("us-isof-", "csp.hci.ic.gov"),
        ("us-iso-", "c2s.ic.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("eusc-", "amazonaws.eu"),
    ];
    DOMAINS.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("amazonaws.com", |(_, domain)| domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(provider_id: &str, region: &str) -> Result<Machine, ProviderError> {
        Machine::of(
            &NodeRef {
                name: "win-1".into(),
                uid: "u".into(),
                provider_id: provider_id.into(),
                system_uuid: String::new(),
            },
            region,
        )
    }

    #[test]
    fn a_region_is_read_off_every_kind_of_zone() {
        for (zone, region) in [
            ("us-east-1a", Some("us-east-1")),
            ("us-gov-west-1b", Some("us-gov-west-1")),
            ("us-west-2-lax-1a", Some("us-west-2")),
            ("us-east-1-wl1-bos-wlz-1", Some("us-east-1")),
            ("eusc-de-east-1a", Some("eusc-de-east-1")),
            ("ap-southeast-12c", Some("ap-southeast-12")),
            ("us-east-1", None),
            ("us-east", None),
            ("1a", None),
            ("", None),
            ("us--1a", None),
            ("us-1a", None),
            ("US-east-1a", None),
        ] {
            assert_eq!(region_of(zone), region, "{zone}");
        }
    }

    #[test]
    fn a_provider_id_of_another_form_is_refused_by_name() {
        let machine = of("aws:///eu-central-1b/i-0123456789abcdef0", "eu-central-1").expect("a machine");
        assert_eq!((machine.instance.as_str(), machine.zone.as_str()), ("i-0123456789abcdef0", "eu-central-1b"));
        for bad in [
            "",
            "i-0123456789abcdef0",
            "aws://eu-central-1b/i-0123456789abcdef0",
            "aws:///i-0123456789abcdef0",
            "aws:///eu-central-1b/i-0123",
            "aws:///eu-central-1b/i-0123456789abcdef0/x",
            "aws:///eu-central-1b/i-0123456789abcdeg0",
            "azure:///eu-central-1b/i-0123456789abcdef0",
            "aws:///nowhere/i-0123456789abcdef0",
        ] {
            let error = of(bad, "eu-central-1").expect_err(bad);
            let text = error.to_string();
            assert!(matches!(error, ProviderError::Permanent(_)) && text.contains("win-1"), "{bad}: {text}");
        }
    }

    #[test]
    fn a_node_of_another_region_is_refused_with_both_regions() {
        let error = of("aws:///us-east-1a/i-0123456789abcdef0", "eu-central-1").expect_err("another region");
        let text = error.to_string();
        assert!(text.contains("us-east-1") && text.contains("spec.provider.aws.region is eu-central-1"), "{text}");
    }

    #[test]
    fn partitions_have_domains_of_their_own() {
        assert_eq!(host("ec2", "eu-central-1"), "ec2.eu-central-1.amazonaws.com");
        assert_eq!(host("ec2", "us-gov-west-1"), "ec2.us-gov-west-1.amazonaws.com");
        assert_eq!(host("kms", "cn-north-1"), "kms.cn-north-1.amazonaws.com.cn");
        assert_eq!(host("sts", "us-isob-east-1"), "sts.us-isob-east-1.sc2s.sgov.gov");
    }
}
