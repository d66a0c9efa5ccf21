//! Why each right of the template is there, for `docs/iam.md`.

/// Where this file is.
pub const PATH: &str = "crates/dev/tidy/src/why.rs";

/// Role (`*` is any), action (`*` is any), a part of the resource, and the reason. The first that fits counts.
pub const WHY: &[(&str, &str, &str, &str)] = &[
    (
        "AuthorizerFunction",
        "ssm:GetParametersByPath",
        "/ingress",
        "what webhooks are proved with, for the cheap filter",
    ),
    ("IngestFunction", "ssm:GetParametersByPath", "/ingress", "what webhooks are proved with"),
    ("IngestFunction", "dynamodb:GetItem", "LedgerTable", "the job's row as it is"),
    ("IngestFunction", "dynamodb:PutItem", "LedgerTable", "the job's row as the webhook says"),
    ("IngestFunction", "events:PutEvents", "Bus", "announces the stored job"),
    ("BusRole", "states:StartExecution", "", "a rule starts the workflow of a waiting, or of an ended job"),
    ("StartRunner", "lambda:InvokeFunction", "", "its two steps"),
    ("StopRunner", "lambda:InvokeFunction", "", "its step"),
    ("*", "logs:CreateLogDelivery", "", "a workflow's failures are logged"),
    ("*", "logs:GetLogDelivery", "", "the same"),
    ("*", "logs:UpdateLogDelivery", "", "the same"),
    ("*", "logs:DeleteLogDelivery", "", "the same"),
    ("*", "logs:ListLogDeliveries", "", "the same"),
    ("*", "logs:PutResourcePolicy", "", "the same"),
    ("*", "logs:DescribeResourcePolicies", "", "the same"),
    ("*", "logs:DescribeLogGroups", "", "the same"),
    (
        "*",
        "ec2:CreateNetworkInterface",
        "everything",
        "what SAM gives for Lambda is not for the function's code, nor for a job in it",
    ),
    ("*", "ec2:DeleteNetworkInterface", "everything", "the same"),
    ("*", "ec2:DescribeNetworkInterfaces", "everything", "the same"),
    ("*", "ec2:DescribeSubnets", "everything", "the same"),
    ("*", "ec2:AssignPrivateIpAddresses", "everything", "the same"),
    ("*", "ec2:UnassignPrivateIpAddresses", "everything", "the same"),
    ("*", "lambda:InvokeFunction", "function *", "starts launches of functions whose owner agreed by the tag"),
    ("*", "lambda:InvokeFunction", "ExecutorFunction", "starts launches of the stack's executor"),
    ("*", "dynamodb:Query", "MappingTable", "which lane a job gets"),
    ("*", "dynamodb:Query", "index/due", "the rows that are due"),
    ("ExecutorFunction", "ssm:GetParametersByPath", "/runner/LAMBDA", "its lane's runner token"),
    (
        "ProvisionerFunction",
        "ssm:GetParametersByPath",
        "/runner/EC2",
        "a lane's registration token makes the runner of a launch that has its own",
    ),
    ("ProvisionerFunction", "ssm:GetParametersByPath", "/control", "the API token makes it where the lane has none"),
    ("ScalerFunction", "autoscaling:DescribeAutoScalingGroups", "", "the pool's group; AWS takes it on all only"),
    ("ScalerFunction", "autoscaling:DescribeLifecycleHooks", "", "whether its members are let finish; the same"),
    ("ScalerFunction", "ec2:DescribeInstances", "", "the members' private addresses; the same"),
    ("ScalerFunction", "autoscaling:SetDesiredCapacity", "", "the group grows"),
    ("ScalerFunction", "autoscaling:TerminateInstanceInAutoScalingGroup", "", "an idle member is let go"),
    ("ScalerFunction", "autoscaling:SetInstanceProtection", "", "the group itself chooses no member"),
    ("ScalerFunction", "autoscaling:SuspendProcesses", "", "nor does its balance of zones"),
    ("ScalerFunction", "dynamodb:GetItem", "LedgerTable", "the pool's row and no other"),
    ("ScalerFunction", "dynamodb:BatchGetItem", "LedgerTable", "the same"),
    ("ScalerFunction", "dynamodb:PutItem", "LedgerTable", "what this run saw, on condition of what it read"),
    ("ScalerFunction", "ssm:GetParametersByPath", "/control", "GitLab's API token, which tells of waiting jobs"),
    ("MemberRole", "ssm:GetParameter", "/token", "the token of the pool's runner"),
    ("MemberRole", "autoscaling:RecordLifecycleActionHeartbeat", "", "its jobs still run, and it is waited for"),
    ("MemberRole", "autoscaling:CompleteLifecycleAction", "", "they have ended, and it may go"),
    ("MemberRole", "s3:GetObject", "CacheBucket", "the jobs' cache"),
    ("MemberRole", "s3:PutObject", "CacheBucket", "the same"),
    ("*", "s3:GetObject", "CacheBucket", "signs URLs by which runners fetch a job's caches"),
    ("*", "s3:PutObject", "CacheBucket", "signs URLs by which runners keep them"),
    ("*", "s3:ListBucket", "CacheBucket", "without it a cache that is not there looks like a right that is missing"),
    ("*", "ssm:GetParametersByPath", "/control", "GitLab's API token, if one is stored"),
    ("ReconcilerFunction", "ssm:PutParameter", "/runner", "the token of a runner that it made for a lane"),
    ("ReconcilerFunction", "ssm:DeleteParameter", "/runner", "that token, when nothing has the lane any more"),
    ("CheckinFunction", "ssm:GetParametersByPath", "/runner/EC2", "the runner token of an instance's lane"),
    (
        "ClaimFunction",
        "ssm:GetParametersByPath",
        "/runner",
        "a lane's runner token seals the job token that a runner leaves",
    ),
    (
        "*",
        "ssm:GetParametersByPath",
        "/runner",
        "a lane's runner token opens the job token that a lost runner left, and removes managers",
    ),
    ("*", "dynamodb:GetItem", "LedgerTable", "rows of jobs, launches and lanes"),
    ("*", "dynamodb:BatchGetItem", "LedgerTable", "several rows of one decision"),
    ("*", "dynamodb:PutItem", "LedgerTable", "new rows; each write is on condition of what was read"),
    ("*", "dynamodb:UpdateItem", "LedgerTable", "counts of live launches"),
    (
        "ProvisionerFunction",
        "dynamodb:ConditionCheckItem",
        "LedgerTable",
        "an instance is recorded only if its job's row is as it was before the request",
    ),
    ("*", "ec2:CreateFleet", "", "the instance of a launch, from the stack's launch template only"),
    ("*", "ec2:RunInstances", "", "CreateFleet launches with its caller's rights"),
    ("*", "ec2:CreateTags", "", "tags at the launch, and at no other time"),
    ("*", "ec2:TerminateInstances", "", "ends instances that carry this stack's tag"),
    ("*", "ec2:DescribeInstances", "", "which instances there are; AWS takes it on all only"),
    ("*", "ec2:ModifyInstanceMetadataOptions", "", "switches an instance's metadata off before its job begins"),
    ("*", "iam:PassRole", "InstanceRole", "the instance's role, to EC2 only"),
    ("*", "ssm:GetParameters", "/ami", "the launch template names its image by this parameter"),
    (
        "InstanceRole",
        "execute-api:Invoke",
        "/POST/claim",
        "an instance begins its launch; the only thing that its role may do",
    ),
];

/// Which reason is that of a right.
#[must_use]
pub fn of(role: &str, action: &str, resource: &str) -> Option<usize> {
    let fits = |(who, what, part, _): &(&str, &str, &str, &str)| {
        (*who == "*" || *who == role) && (*what == "*" || *what == action) && resource.contains(part)
    };
    WHY.iter().position(fits)
}
