//! One suite for the port: the stand-in in memory and the adapter against the emulator answer alike.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod suite;

use runnerless_aws::{Credentials, Place};
use runnerless_aws_ec2::{Ec2Fleet, FakeFleet};
use runnerless_local::aws as local;
use runnerless_local::stack::{Options, Stack};
use suite::emulator;

#[tokio::test]
async fn the_fleet_in_memory() {
    let fleet = FakeFleet::default();
    fleet.deploy("lt-0abc", "arn:aws:iam::000000000000:instance-profile/runner");
    let place =
        suite::Where { template: "lt-0abc".to_owned(), subnets: ["subnet-1".to_owned(), "subnet-2".to_owned()] };
    suite::all(&fleet, &place).await;
}

#[tokio::test]
async fn the_fleet_on_the_emulator() {
    let stack = Stack::start(&Options::for_tests("fleet").unwrap()).await.unwrap();
    let place = Place::new(local::REGION, Some(stack.endpoint().to_owned()));
    let credentials =
        Credentials { key_id: local::ACCOUNT.to_owned(), secret: local::SECRET.to_owned().into(), session: None };
    let given = emulator::prepare(&place, &credentials).await;
    suite::all(&Ec2Fleet::new(&place, &credentials), &given).await;
    stack.stop().await;
}
