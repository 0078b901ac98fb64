//! Every call that this provider can make, in one table: the client takes no other, and the IAM policy that ships is
//! checked against it.

/// A service of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Ec2,
    Kms,
    Sts,
}

impl Service {
    /// Its name in endpoints and signatures.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Kms => "kms",
            Self::Sts => "sts",
        }
    }

    /// The version of its query protocol (botocore 1.44.5). KMS speaks JSON and has none.
    pub(super) const fn version(self) -> &'static str {
        match self {
            Self::Ec2 => "2016-11-15",
            Self::Kms => "",
            Self::Sts => "2011-06-15",
        }
    }
}

/// Makes the enum of calls and its table.
macro_rules! calls {
    ($($name:ident: $service:ident, $again:ident, [$($needs:literal),*];)+) => {
        /// A call that this provider can make.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Call {
            $($name,)+
        }

        impl Call {
            /// All of them.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The action's name at AWS.
            pub(super) const fn action(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// Who is asked.
            pub(super) const fn service(self) -> Service {
                match self {
                    $(Self::$name => Service::$service,)+
                }
            }

            /// What becomes of a request that is sent a second time because the first one's answer was lost.
            pub(super) const fn again(self) -> Again {
                match self {
                    $(Self::$name => Again::$again,)+
                }
            }

            /// The IAM actions that it needs. Those of KMS are used by EBS on our behalf.
            #[cfg(test)]
            pub(super) const fn needs(self) -> &'static [&'static str] {
                match self {
                    $(Self::$name => &[$($needs),*],)+
                }
            }
        }
    };
}

/// What a second sending of a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// Nothing more than the first: it reads, has a client token, or asks for a state.
    Harmless,
    /// The same thing once more: it is looked for first.
    Doubles,
}

calls! {
    DescribeInstances: Ec2, Harmless, ["ec2:DescribeInstances"];
    DescribeInstanceStatus: Ec2, Harmless, ["ec2:DescribeInstanceStatus"];
    GetConsoleOutput: Ec2, Harmless, ["ec2:GetConsoleOutput"];
    DescribeSnapshots: Ec2, Harmless, ["ec2:DescribeSnapshots"];
    CreateSnapshots: Ec2, Doubles, ["ec2:CreateSnapshots", "ec2:CreateTags"];
    DeleteSnapshot: Ec2, Harmless, ["ec2:DeleteSnapshot"];
    CreateReplaceRootVolumeTask: Ec2, Harmless, [
        "ec2:CreateReplaceRootVolumeTask", "ec2:CreateTags", "kms:CreateGrant", "kms:Decrypt",
        "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"
    ];
    DescribeReplaceRootVolumeTasks: Ec2, Harmless, ["ec2:DescribeReplaceRootVolumeTasks"];
    DescribeVolumes: Ec2, Harmless, ["ec2:DescribeVolumes"];
    CreateVolume: Ec2, Harmless, [
        "ec2:CreateVolume", "ec2:CreateTags", "kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext",
        "kms:ReEncryptFrom", "kms:ReEncryptTo"
    ];
    AttachVolume: Ec2, Harmless, ["ec2:AttachVolume"];
    StartInstances: Ec2, Harmless, ["ec2:StartInstances"];
    StopInstances: Ec2, Harmless, ["ec2:StopInstances"];
    DescribeKey: Kms, Harmless, ["kms:DescribeKey"];
    // Allowed to everybody, whatever the policies say.
    GetCallerIdentity: Sts, Harmless, [];
    // Signed by nobody: the role's trust policy decides.
    AssumeRoleWithWebIdentity: Sts, Harmless, [];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::tags::INSTALLATION;
    use serde_json::Value;
    use std::collections::BTreeSet;

    const POLICY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/aws/iam-policy.json"));

    fn texts(value: &Value) -> Vec<&str> {
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        list.iter().map(|text| text.as_str().expect("a text")).collect()
    }

    fn statements() -> Vec<Value> {
        let policy: Value = serde_json::from_str(POLICY).expect("a policy");
        policy["Statement"].as_array().expect("statements").clone()
    }

    /// The policy that ships allows what the code can ask for, and nothing else.
    #[test]
    fn the_policy_allows_the_calls_and_no_others() {
        let mut allowed = BTreeSet::new();
        for statement in statements() {
            assert_eq!(statement["Effect"], "Allow");
            for action in texts(&statement["Action"]) {
                assert!(!action.contains('*'), "{action}: no wildcards");
                allowed.insert(action.to_owned());
            }
        }
        let needed: BTreeSet<_> = Call::ALL.iter().flat_map(|call| call.needs()).map(|s| (*s).to_owned()).collect();
        assert_eq!(allowed, needed);
    }

    /// What changes something is bound to our own tags, or to the instances of the cluster: each kind of resource that an
    /// action touches, since AWS asks for each of them. Only volumes of an instance are bound by nothing but that instance:
    /// nobody promises that they have tags.
    #[test]
    fn what_changes_something_is_bound_to_the_cluster_or_to_our_tags() {
        let mut bound = BTreeSet::new();
        for statement in statements() {
            let conditions = statement["Condition"].as_object().expect("a condition");
            assert_eq!(conditions.keys().collect::<Vec<_>>(), ["StringEquals"], "{}: no patterns", statement["Sid"]);
            let conditions = conditions["StringEquals"].as_object().expect("keys");
            let by: Vec<_> = conditions.iter().filter(|(key, _)| *key != "aws:RequestedRegion").collect();
            let by: Vec<_> = by.iter().map(|(key, value)| format!("{key}={}", texts(value).join("|"))).collect();
            let region = conditions.get("aws:RequestedRegion").is_some_and(|region| region == "REGION");
            assert!(region || by == ["kms:ViaService=ec2.REGION.amazonaws.com"], "{}: any region", statement["Sid"]);
            for resource in texts(&statement["Resource"]) {
                let kind = resource.trim_end_matches("/*").rsplit(':').next().unwrap_or_default();
                for action in texts(&statement["Action"]) {
                    let new = bound.insert(format!("{action} {kind} {}", by.join(" ")).trim_end().to_owned());
                    assert!(new, "{action} {kind} is allowed twice");
                }
            }
        }
        let (asked, there) = (format!("aws:RequestTag/{INSTALLATION}"), format!("aws:ResourceTag/{INSTALLATION}"));
        let tagging =
            format!("{asked}=INSTALLATION ec2:CreateAction=CreateSnapshots|CreateReplaceRootVolumeTask|CreateVolume");
        let (made, ours) = (format!("{asked}=INSTALLATION"), format!("{there}=INSTALLATION"));
        let cluster = "aws:ResourceTag/kubernetes.io/cluster/CLUSTER=owned";
        let ebs = "kms:ViaService=ec2.REGION.amazonaws.com";
        let wanted = [
            (
                "*",
                "",
                &["ec2:DescribeInstances", "ec2:DescribeInstanceStatus", "ec2:DescribeReplaceRootVolumeTasks"][..],
            ),
            ("*", "", &["ec2:DescribeSnapshots", "ec2:DescribeVolumes", "kms:DescribeKey"]),
            (
                "instance",
                cluster,
                &["ec2:StartInstances", "ec2:StopInstances", "ec2:AttachVolume", "ec2:CreateSnapshots"],
            ),
            ("instance", cluster, &["ec2:CreateReplaceRootVolumeTask", "ec2:GetConsoleOutput"]),
            ("volume", "", &["ec2:CreateReplaceRootVolumeTask", "ec2:CreateSnapshots"]),
            ("volume", &made, &["ec2:CreateVolume"]),
            ("volume", &ours, &["ec2:AttachVolume"]),
            ("snapshot", &made, &["ec2:CreateSnapshots"]),
            ("snapshot", &ours, &["ec2:CreateReplaceRootVolumeTask", "ec2:CreateVolume", "ec2:DeleteSnapshot"]),
            ("replace-root-volume-task", &made, &["ec2:CreateReplaceRootVolumeTask"]),
            ("snapshot", &tagging, &["ec2:CreateTags"]),
            ("volume", &tagging, &["ec2:CreateTags"]),
            ("replace-root-volume-task", &tagging, &["ec2:CreateTags"]),
            ("*", ebs, &["kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext"]),
            ("*", ebs, &["kms:ReEncryptFrom", "kms:ReEncryptTo"]),
        ];
        let wanted: BTreeSet<_> = wanted
            .iter()
            .flat_map(|(kind, by, actions)| {
                actions.iter().map(move |a| format!("{a} {kind} {by}").trim_end().to_owned())
            })
            .collect();
        assert_eq!(bound, wanted);
    }
}
