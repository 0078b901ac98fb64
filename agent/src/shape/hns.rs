//! The Host Networking Service: what `HNSCall` answers.

use crate::host::{HostEndpoint, HostNetwork};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::net::IpAddr;

/// The envelope of every answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<T> {
    success: bool,
    #[serde(default)]
    error: String,
    output: Option<Vec<T>>,
}

#[derive(Deserialize)]
struct RawNetwork {
    #[serde(rename = "ID", alias = "Id")]
    id: String,
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "Type", default)]
    kind: String,
    #[serde(rename = "ManagementIP", default)]
    management_ip: String,
}

#[derive(Deserialize)]
struct RawEndpoint {
    #[serde(rename = "ID", alias = "Id")]
    id: String,
    #[serde(rename = "VirtualNetworkName", default)]
    network_name: String,
    #[serde(rename = "VirtualNetwork", default)]
    network: String,
    #[serde(rename = "IPAddress", default)]
    ip: String,
    #[serde(rename = "State", default)]
    state: Option<u32>,
}

/// Names of the states of an endpoint, from 0, in the order of Microsoft's hcsshim (`EndpointState`).
const STATES: [&str; 7] =
    ["Uninitialized", "Created", "Attached", "AttachedSharing", "Detached", "Degraded", "Destroyed"];

/// Reads the answer to `GET /networks/`.
///
/// # Errors
/// What HNS says went wrong, or why the answer is none.
pub(crate) fn networks(answer: &str) -> Result<Vec<HostNetwork>, String> {
    let network = |raw: RawNetwork| HostNetwork {
        management_ip: raw.management_ip.parse().ok(),
        id: raw.id,
        name: raw.name,
        kind: raw.kind,
    };
    Ok(output(answer)?.into_iter().map(network).collect())
}

/// Reads the answer to `GET /endpoints/`.
///
/// # Errors
/// What HNS says went wrong, or why the answer is none.
pub(crate) fn endpoints(answer: &str) -> Result<Vec<HostEndpoint>, String> {
    let state = |number: Option<u32>| {
        let known = number.and_then(|n| STATES.get(usize::try_from(n).ok()?));
        known.map_or_else(|| format!("Unknown({number:?})"), |name| (*name).to_owned())
    };
    let endpoint = |raw: RawEndpoint| HostEndpoint {
        network: if raw.network_name.is_empty() { raw.network } else { raw.network_name },
        ip: raw.ip.parse::<IpAddr>().ok(),
        state: state(raw.state),
        id: raw.id,
    };
    Ok(output(answer)?.into_iter().map(endpoint).collect())
}

fn output<T: DeserializeOwned>(answer: &str) -> Result<Vec<T>, String> {
    let answer: Answer<T> = serde_json::from_str(answer).map_err(|e| format!("HNS answers no JSON of its own: {e}"))?;
    if answer.success { Ok(answer.output.unwrap_or_default()) } else { Err(format!("HNS: {}", answer.error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORKS: &str = r#"{"Success":true,"Output":[{"ActivityId":"A","AdditionalParams":{},"CurrentEndpointCount":3,
        "DNSServerCompartment":1,"Extensions":[],"Flags":0,"ID":"D8C7B2A0-4B3C-4F77-9C2B-0E6B1C5A7F11","LayeredOn":"L",
        "MacPools":[{"EndMacAddress":"00-15-5D-3E-5F-FF","StartMacAddress":"00-15-5D-3E-50-00"}],
        "ManagementIP":"10.240.0.97","MaxConcurrentEndpoints":4,"Name":"azure","Policies":[],"State":1,
        "Subnets":[{"AddressPrefix":"10.240.0.0/16","GatewayAddress":"10.240.0.1"}],"Type":"L2Bridge","Version":47244640256},
        {"ID":"C08CB7B8-9B3C-408E-8E30-5E16A3AEB444","Name":"nat","Type":"nat"}]}"#;

    #[test]
    fn networks_have_name_type_and_address() {
        let read = networks(NETWORKS).expect("networks");
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].name.as_str(), read[0].kind.as_str()), ("azure", "L2Bridge"));
        assert_eq!(read[0].management_ip, "10.240.0.97".parse().ok());
        assert_eq!(read[1].management_ip, None);
    }

    #[test]
    fn endpoints_have_network_address_and_state() {
        let read = endpoints(
            r#"{"Success":true,"Output":[{"ID":"E1","Name":"Ethernet","VirtualNetwork":"N1","VirtualNetworkName":"azure",
            "IPAddress":"10.240.0.101","MacAddress":"00-15-5D-3E-55-01","State":3},{"ID":"E2","VirtualNetwork":"N1","State":5},
            {"ID":"E3","VirtualNetwork":"N1","State":99}]}"#,
        )
        .expect("endpoints");
        assert_eq!((read[0].network.as_str(), read[0].state.as_str()), ("azure", "AttachedSharing"));
        assert_eq!((read[1].network.as_str(), read[1].state.as_str(), read[1].ip), ("N1", "Degraded", None));
        assert_eq!(read[2].state, "Unknown(Some(99))");
    }

    #[test]
    fn an_error_is_what_hns_says() {
        let refused = r#"{"Success":false,"Error":"Element not found. ","ErrorCode":2147943568}"#;
        assert!(networks(refused).is_err_and(|e| e.contains("Element not found")));
        assert_eq!(networks(r#"{"Success":true}"#), Ok(vec![]), "a machine without networks");
        assert!(networks("").is_err());
        assert!(endpoints("[]").is_err());
    }
}
