"""Deploys template.yaml, or a pool's beside it, to the local emulator, and nothing else.

Reads one JSON object from standard input and writes one to standard output; see deploy.rs. The template is taken as it
is: only CodeUri, ContentUri and DefinitionUri are rewritten to the uploaded files, as `sam package` does.

What the emulator cannot evaluate is adjusted after the deployment, here and nowhere else (docs/fidelity.md):

- It evaluates ssm:GetParametersByPath against the resource `*`, so a grant for a path is refused. Roles whose policy
  grants the action get it on `*`; the witness proxy enforces the paths instead, from the file of scopes.
- It treats the tags of a request and of an instance as absent, so a grant of EC2 on condition of a tag is refused. Roles
  get such actions without their conditions; the witness proxy enforces these instead.
- Unless it is started where nothing is but what Lambda has, the executor's working folder is the machine's
  /tmp/runnerless; it is set to a folder below the state, so that two checkouts do not meet. So are the folders that it
  scrubs: the machine's /tmp is not the executor's alone.
- It drops tenant isolation and the tenant id of a call, so the executor is told that its environment is shared.
- It does not know the group of a member that is to end by its instance's id, so a grant for a group is refused. Roles get that
  action on `*`; the witness proxy enforces the groups instead.
- It drops a group's mixed instances policy, so the launch template that a group has by it is written down for the witness.
- A pool's scaler gets the values of its variables that a suite asks for: what takes minutes in a pool takes seconds there.
"""

import hashlib
import io
import json
import pathlib
import re
import sys
import time
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

BUCKET = "runnerless-artifacts"
BY_PATH = "ssm:GetParametersByPath"
BY_INSTANCE = "autoscaling:TerminateInstanceInAutoScalingGroup"
LOCAL_POLICY = "local-stack-parameters-by-path"
LOCAL_TAGS_POLICY = "local-stack-without-tags"
LOCAL_GROUPS_POLICY = "local-stack-any-group"
LOCAL_POLICIES = (LOCAL_POLICY, LOCAL_TAGS_POLICY, LOCAL_GROUPS_POLICY)
TAG_KEYS = ("aws:RequestTag/", "aws:ResourceTag/", "ec2:ResourceTag/")
# A zip's first possible time: equal content gives an equal zip, and so an equal key.
EPOCH = (1980, 1, 1, 0, 0, 0)


def main():
    order = json.load(sys.stdin)
    deployer = Deployer(order)
    answer = deployer.function() if order["do"] == "function" else deployer.stack()
    json.dump(answer, sys.stdout)


class Deployer:
    def __init__(self, order):
        self.order = order
        options = {
            "endpoint_url": order["endpoint"],
            "region_name": order["region"],
            "aws_access_key_id": order["account"],
            "aws_secret_access_key": order["secret"],
            "config": Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1}),
        }
        self.client = {name: boto3.client(name, **options) for name in ("cloudformation", "iam", "lambda", "s3")}

    def stack(self):
        self.make_bucket(BUCKET)
        # What the operator has before the stack.
        if caches := self.order["parameters"].get("CacheBucket"):
            self.make_bucket(caches)
        template = self.package(pathlib.Path(self.order["template"]))
        outputs = self.change(template)
        functions = self.functions()
        paths, tagged, groups = self.grant_by_path(functions), self.grant_tagged(functions), self.grant_ending(functions)
        for part, variables in self.order["variables"].items():
            self.adjust(functions[part]["name"], variables)
        names = [function["name"] for function in functions.values()]
        scopes = {n: {"paths": paths.get(n), "tagged": tagged.get(n, []), "groups": groups.get(n)} for n in names}
        add_to(self.order["scopes"], scopes)
        add_to(self.order["groups"], self.mixed())
        return {"outputs": outputs, "functions": functions}

    # Packaging

    def package(self, path):
        text = path.read_text()
        # Its programs would be found by no function here: layers are not mounted. See bare/enter.sh.
        text = re.sub(
            r"(?m)^(\s+ContentUri: )target/layer/tools-[a-z0-9_]+\.zip$",
            lambda found: found[1] + self.upload(zipped({"README": b"The layer is not mounted here.\n"}), "layers", ".zip"),
            text,
        )
        text = re.sub(r"(?m)^(\s+CodeUri: )(?:\.\./)?crates/bin/([a-z-]+)/$", self.upload_function, text)
        return re.sub(
            r"(?m)^(\s+DefinitionUri: )(\S+\.asl\.json)$",
            lambda found: found[1] + self.upload((path.parent / found[2]).read_bytes(), "machines", ".json"),
            text,
        )

    def upload_function(self, found):
        part = found[2]
        binary = pathlib.Path(self.order["binaries"][part]) if part in self.order["binaries"] else None
        if binary is None or not binary.is_file():
            sys.exit(f"the function {part} is not built: {binary or part}; run `cargo build --release`")
        starter = self.order.get("starters", {}).get(part)
        body = starter.encode() if starter else binary.read_bytes()
        return found[1] + self.upload(zipped({"bootstrap": body}), part, ".zip")

    def make_bucket(self, name):
        try:
            self.client["s3"].create_bucket(Bucket=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
                raise

    def upload(self, body, folder, suffix):
        key = f"{folder}/{hashlib.sha256(body).hexdigest()}{suffix}"
        self.client["s3"].put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    # CloudFormation

    def change(self, template):
        cloudformation, name = self.client["cloudformation"], self.order["stack"]
        change = f"c{time.time_ns()}"
        # From a bucket, as `sam deploy` does: in a request a template may have 51,200 bytes only.
        bucket, key = self.upload(template.encode(), "templates", ".yaml").removeprefix("s3://").split("/", 1)
        cloudformation.create_change_set(
            StackName=name,
            ChangeSetName=change,
            ChangeSetType="UPDATE" if self.describe() else "CREATE",
            TemplateURL=f"{self.order['endpoint']}/{bucket}/{key}",
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in self.order["parameters"].items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        made = wait(lambda: cloudformation.describe_change_set(StackName=name, ChangeSetName=change), "Status")
        if made["Status"] == "FAILED":
            reason = made.get("StatusReason", "")
            if "didn't contain changes" not in reason and "No updates" not in reason:
                sys.exit(f"the change set failed: {reason}")
        else:
            cloudformation.execute_change_set(StackName=name, ChangeSetName=change)
        stack = wait(self.describe, "StackStatus")
        if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            sys.exit(f"the stack is {stack['StackStatus']}: {self.failures()}")
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def describe(self):
        try:
            return self.client["cloudformation"].describe_stacks(StackName=self.order["stack"])["Stacks"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                return None
            raise

    def failures(self):
        events = self.client["cloudformation"].describe_stack_events(StackName=self.order["stack"])["StackEvents"]
        failed = [event for event in events if event["ResourceStatus"].endswith("FAILED")]
        return "; ".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in failed)

    def functions(self):
        """Logical id to name, ARN and role."""
        resources = self.client["cloudformation"].describe_stack_resources(StackName=self.order["stack"])
        found = {}
        for resource in resources["StackResources"]:
            if resource["ResourceType"] == "AWS::Lambda::Function":
                name = resource["PhysicalResourceId"]
                config = self.client["lambda"].get_function_configuration(FunctionName=name)
                found[resource["LogicalResourceId"]] = {
                    "name": name, "arn": config["FunctionArn"], "role": config["Role"]}
        return found

    # What the emulator cannot evaluate

    def grant_by_path(self, functions):
        scopes = {}
        for function in functions.values():
            role = function["role"].rsplit("/", 1)[-1]
            resources = self.by_path_resources(role)
            if resources:
                scopes[function["name"]] = resources
                statement = {"Effect": "Allow", "Action": BY_PATH, "Resource": "*"}
                self.client["iam"].put_role_policy(
                    RoleName=role,
                    PolicyName=LOCAL_POLICY,
                    PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
                )
        return scopes

    def by_path_resources(self, role):
        iam, resources = self.client["iam"], []
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            if name in LOCAL_POLICIES:
                continue
            document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for statement in listed(document["Statement"]):
                if statement["Effect"] == "Allow" and BY_PATH in listed(statement["Action"]):
                    resources += listed(statement["Resource"])
        return resources

    def grant_tagged(self, functions):
        """Function name to [{"actions": [...], "tags": {condition key: [values]}}]."""
        found = {}
        for function in functions.values():
            role = function["role"].rsplit("/", 1)[-1]
            tagged = [(listed(s["Action"]), tags_of(s)) for s in self.statements(role) if tags_of(s)]
            if tagged:
                found[function["name"]] = [{"actions": actions, "tags": tags} for actions, tags in tagged]
                actions = sorted({action for actions, _ in tagged for action in actions})
                self.client["iam"].put_role_policy(
                    RoleName=role,
                    PolicyName=LOCAL_TAGS_POLICY,
                    PolicyDocument=json.dumps(policy([{"Effect": "Allow", "Action": actions, "Resource": "*"}])),
                )
        return found

    def grant_ending(self, functions):
        """Function name to the groups whose members it may end."""
        found = {}
        for function in functions.values():
            role = function["role"].rsplit("/", 1)[-1]
            ending = [listed(s["Resource"]) for s in self.statements(role) if BY_INSTANCE in listed(s["Action"])]
            if ending:
                found[function["name"]] = sorted({resource for resources in ending for resource in resources})
                self.client["iam"].put_role_policy(
                    RoleName=role,
                    PolicyName=LOCAL_GROUPS_POLICY,
                    PolicyDocument=json.dumps(policy([{"Effect": "Allow", "Action": BY_INSTANCE, "Resource": "*"}])),
                )
        return found

    def statements(self, role):
        """What a role is allowed, in policies of its own and in others."""
        iam = self.client["iam"]
        names = [name for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
                 if name not in LOCAL_POLICIES]
        documents = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
        for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
            arn = attached["PolicyArn"]
            if ":aws:policy/" not in arn:
                version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
                documents.append(iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"])
        return [s for document in documents for s in listed(document["Statement"]) if s["Effect"] == "Allow"]

    def adjust(self, name, variables):
        config = self.client["lambda"].get_function_configuration(FunctionName=name)
        variables = dict(config["Environment"]["Variables"], **variables)
        self.client["lambda"].update_function_configuration(FunctionName=name, Environment={"Variables": variables})

    def mixed(self):
        """Group name to the launch template of a mixed instances policy. A template here has one of each at most."""
        resources = self.client["cloudformation"].describe_stack_resources(StackName=self.order["stack"])
        found = {r["ResourceType"]: r["PhysicalResourceId"] for r in resources["StackResources"]}
        group = found.get("AWS::AutoScaling::AutoScalingGroup")
        template = found.get("AWS::EC2::LaunchTemplate")
        return {group: {"template": template, "version": "$Latest"}} if group and template else {}

    # A function of somebody else

    def function(self):
        """Makes or renews a function with a role of its own, from the files of a folder."""
        name, iam, functions = self.order["name"], self.client["iam"], self.client["lambda"]
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        try:
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(policy([trust])))
        except ClientError as error:
            if error.response["Error"]["Code"] != "EntityAlreadyExists":
                raise
        statements = self.order["statements"]
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy(statements)))
        folder = pathlib.Path(self.order["folder"])
        code = zipped({path.name: path.read_bytes() for path in sorted(folder.glob("*.py"))})
        try:
            functions.get_function(FunctionName=name)
            functions.update_function_code(FunctionName=name, ZipFile=code)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            functions.create_function(
                FunctionName=name,
                Runtime=self.order["runtime"],
                Handler=self.order["handler"],
                Role=f"arn:aws:iam::{self.order['account']}:role/{name}",
                Code={"ZipFile": code},
                Timeout=self.order["timeout"],
                MemorySize=512,
                Tags=self.order["tags"],
            )
        functions.put_function_event_invoke_config(
            FunctionName=name,
            MaximumRetryAttempts=0,
            MaximumEventAgeInSeconds=120,
            DestinationConfig={"OnFailure": {"Destination": self.order["on_failure"]}},
        )
        return {"arn": functions.get_function_configuration(FunctionName=name)["FunctionArn"]}


def zipped(files):
    """A zip that depends on nothing but the files. Not compressed: it never leaves the machine."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, body in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, body)
    return buffer.getvalue()


def add_to(path, entries):
    """Adds to a JSON file with an object, which stacks share."""
    path = pathlib.Path(path)
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, **entries}))


def policy(statements):
    return {"Version": "2012-10-17", "Statement": statements}


def tags_of(statement):
    """The tags that a grant of EC2 asks for."""
    if not all(action.startswith("ec2:") for action in listed(statement["Action"])):
        return {}
    equals = statement.get("Condition", {}).get("StringEquals", {})
    return {key: listed(value) for key, value in equals.items() if key.startswith(TAG_KEYS)}


def listed(value):
    return value if isinstance(value, list) else [value]


def wait(describe, key, limit=60):
    begun = time.monotonic()
    while True:
        found = describe()
        if not found[key].endswith(("IN_PROGRESS", "PENDING")):
            return found
        if time.monotonic() - begun > limit:
            sys.exit(f"CloudFormation is still at {found[key]} after {limit} s")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
