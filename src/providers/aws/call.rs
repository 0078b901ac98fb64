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
    use std::collections::BTreeSet;

    const POLICY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/aws/iam-policy.json"));

    /// The policy that ships allows what the code can ask for, each action once, and nothing else.
    #[test]
    fn the_policy_allows_the_calls_and_no_others() {
        let policy: serde_json::Value = serde_json::from_str(POLICY).expect("a policy");
        let mut allowed = BTreeSet::new();
        for statement in policy["Statement"].as_array().expect("statements") {
            assert_eq!(statement["Effect"], "Allow");
            for action in statement["Action"].as_array().expect("actions") {
                let action = action.as_str().expect("an action");
                assert!(!action.contains('*'), "{action}: no wildcards");
                assert!(allowed.insert(action.to_owned()), "{action} is allowed twice");
            }
        }
        let needed: BTreeSet<_> = Call::ALL.iter().flat_map(|call| call.needs()).map(|s| (*s).to_owned()).collect();
        assert_eq!(allowed, needed);
    }

    /// What changes something is bound to our own tags, or to the instances of the cluster.
    #[test]
    fn what_changes_something_is_allowed_under_a_condition() {
        let policy: serde_json::Value = serde_json::from_str(POLICY).expect("a policy");
        for statement in policy["Statement"].as_array().expect("statements") {
            let reads = |action: &str| ["ec2:Describe", "ec2:GetConsole"].iter().any(|p| action.starts_with(p));
            let actions: Vec<_> = statement["Action"].as_array().expect("actions").iter().map(|a| a.as_str()).collect();
            let only_reads = actions.iter().all(|a| a.is_some_and(reads));
            let bound = statement["Condition"].is_object();
            assert!(only_reads || bound, "{} has no condition", statement["Sid"]);
        }
    }
}
