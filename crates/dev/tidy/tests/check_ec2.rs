//! `helper-scripts/check-ec2.sh`, beside an account that lacks one thing after the other.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

use std::process::Command;

use runnerless_tidy::root;

/// What the script says of an account, and how it ends.
fn said(lacks: &str, options: &[&str]) -> (String, Option<i32>) {
    let stand_in = root().join("crates/dev/tidy/tests/check_ec2");
    let ran = Command::new(root().join("helper-scripts/check-ec2.sh"))
        .args(["--parameter-path", "/ci"])
        .args(options)
        .args(["--", "--region", "eu-west-1"])
        .env("PATH", format!("{}:/usr/bin:/bin", stand_in.display()))
        .env("LACKS", lacks)
        .output()
        .unwrap();
    assert!(ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
    (String::from_utf8(ran.stdout).unwrap(), ran.status.code())
}

/// The lines that begin with the word.
fn lines<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(word)).collect()
}

#[test]
fn an_account_that_has_all_is_fine() {
    let (text, code) = said("", &[]);
    assert_eq!((lines(&text, "ok ").len(), text.lines().count(), code), (5, 5, Some(0)), "{text}");
    assert!(text.contains("32 processors of spot instances"), "{text}");
    assert!(text.contains("x86_64"), "{text}");
}

#[test]
fn each_thing_that_lacks_is_named_with_its_cure() {
    let cases = [
        ("EC2Spot", "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"),
        ("EC2Fleet", "aws iam create-service-linked-role --aws-service-name ec2fleet.amazonaws.com"),
        ("parameter", "the parameter /ci/ami: build an image (docs/ami.md)"),
        ("image", "the image ami-0123456789abcdef0 that /ci/ami names"),
        ("available", "is not available: pending"),
        ("L-34B43A08", "0 processors of spot instances: aws service-quotas request-service-quota-increase"),
        ("L-1216C47A", "0 processors of on-demand instances: aws service-quotas request-service-quota-increase"),
    ];
    for (lack, cure) in cases {
        let (text, code) = said(lack, &[]);
        let lacks = lines(&text, "lacks ");
        assert_eq!((lacks.len(), code), (1, Some(1)), "{lack}: {text}");
        assert!(lacks.iter().all(|line| line.contains(cure)), "{lack}: {text}");
    }
}

#[test]
fn what_nobody_may_look_at_is_not_fine() {
    let (text, code) = said("rights", &[]);
    assert_eq!((lines(&text, "unknown ").len(), text.lines().count(), code), (5, 5, Some(4)), "{text}");
    assert!(text.contains("AccessDenied"), "{text}");
}

#[test]
fn without_spot_nothing_of_spot_is_wanted() {
    let (text, code) = said("EC2Spot,L-34B43A08", &["--on-demand"]);
    assert_eq!((lines(&text, "ok ").len(), code), (3, Some(0)), "{text}");
}

#[test]
fn a_pool_is_looked_at_by_its_own_role_image_and_token() {
    let (text, code) = said("EC2Fleet", &["--pool", "builds"]);
    assert_eq!((lines(&text, "ok ").len(), text.lines().count(), code), (6, 6, Some(0)), "{text}");
    for (lack, cure) in [
        ("AutoScaling", "aws iam create-service-linked-role --aws-service-name autoscaling.amazonaws.com"),
        ("token", "aws ssm put-parameter --type SecureString --name /ci/pool/builds/token"),
        ("encryption", "delete it, and put a SecureString there"),
        ("parameter", "the parameter /ci/pool/builds/ami: build an image (docs/pool.md, docs/ami.md)"),
    ] {
        let (text, code) = said(lack, &["--pool", "builds"]);
        let lacks = lines(&text, "lacks ");
        assert_eq!((lacks.len(), code), (1, Some(1)), "{lack}: {text}");
        assert!(lacks[0].contains(cure), "{lack}: {text}");
    }
}
