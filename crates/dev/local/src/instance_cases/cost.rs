//! What a job of ten minutes on an instance costs by AWS's price lists: what the run counted, and a price for each.
//!
//! US dollars, us-east-1, Linux. Nothing here was billed: no run of this stack was on AWS. What a price list says changes, and
//! where a number is an assumption it says so.

use serde_json::{Value, json};

use crate::bill::Bill;
use crate::case_lines::Verdict;

/// The job.
const JOB_S: f64 = 600.0;
/// Billed besides: the boot until the runner asks, and the end. An assumption; a published measurement of January 2026 has 26 s
/// from the call to a login, and an image with everything in it 30 to 45 s to a job's start.
const AROUND_S: f64 = 60.0;
/// Signs of life of the job.
const BEATS: f64 = JOB_S / 60.0;
const HOUR_S: f64 = 3600.0;
/// AWS's month for storage: 730 hours.
const MONTH_S: f64 = 730.0 * HOUR_S;

/// m7i.large on demand, an hour; the first type of `Ec2Machines` (EC2's on-demand list, read July 2026).
const ON_DEMAND: f64 = 0.1008;
/// The part of it that a spot instance costs: an assumption. Of types that were looked at in 2026 it was from 0.33 to 0.55.
const SPOT: f64 = 0.42;
/// A GB-month of gp3 (EBS's list); 3,000 IOPS and 125 MB/s are in it.
const GP3: f64 = 0.08;
/// The launch template's volume.
const DISK_GB: f64 = 30.0;
/// A public IPv4 address, an hour (VPC's list). A subnet with a NAT gateway costs that instead.
const PUBLIC_IPV4: f64 = 0.005;
/// A request to the HTTP API (API Gateway's list).
const HTTP_API: f64 = 1.0e-6;
/// An invocation, and a GB-second on Arm (Lambda's list).
const LAMBDA: f64 = 0.2e-6;
const LAMBDA_GB_S: f64 = 13.3334e-6;
/// A request, and a GB-second, of an Express workflow (Step Functions' list).
const EXPRESS: f64 = 1.0e-6;
const EXPRESS_GB_S: f64 = 16.6667e-6;
/// A custom event (EventBridge's list).
const EVENT: f64 = 1.0e-6;
/// A consistent read of 4 KB, and a write of 1 KB (DynamoDB's list, on demand).
const READ: f64 = 0.125e-6;
const WRITE: f64 = 0.625e-6;
/// A GB of logs taken in (CloudWatch's list).
const LOGS_GB: f64 = 0.50;

/// Functions have 256 MB; how long each call of one takes is an assumption, EC2's answer in the provisioner the longest.
const FUNCTION_GB: f64 = 0.25;
const CALL_S: f64 = 0.2;
const PROVISION_S: f64 = 5.0;
/// Hooks of a job (created, pending, running, its end), each with the authorizer's and ingest's invocation.
const HOOKS: f64 = 4.0;
/// Words of an instance to the stack beside its signs of life: begin, bind, accepted, end.
const WORDS: f64 = 4.0;
/// Router, provisioner and terminator.
const STEPS: f64 = 3.0;
/// Units of a write: a row of at most 2 KB, and its place in the index. A transaction of two such rows costs twice each.
const UNITS: f64 = 3.0;
const TRANSACTION_UNITS: f64 = 12.0;
/// Log of all functions for one job: an assumption.
const LOG_GB: f64 = 40.0e-6;

/// What docs/instances.md says, in tenths of a cent.
const DOCUMENTED: [(&str, f64); 2] = [("spot", 9.4), ("on demand", 20.1)];
/// How far a run may be from that: what it counts differs by a call or two.
const TOLERANCE: f64 = 0.05;

/// The parts of a price.
fn parts(market: &str, calls: &Calls) -> [(&'static str, f64); 7] {
    let billed = JOB_S + AROUND_S;
    let hour = if market == "spot" { ON_DEMAND * SPOT } else { ON_DEMAND };
    let invocations = 2.0 * HOOKS + WORDS + BEATS + STEPS;
    let gb_s = FUNCTION_GB * ((invocations - 1.0) * CALL_S + PROVISION_S);
    // Two workflows of 64 MB, which wait for router and provisioner, and for the terminator.
    let express_gb_s = 0.0625 * (PROVISION_S + 2.0 * CALL_S);
    let reads = calls.reads + BEATS;
    let writes = calls.writes * UNITS + calls.transactions * TRANSACTION_UNITS + BEATS * UNITS;
    [
        ("instance", hour * billed / HOUR_S),
        ("ebs", GP3 * DISK_GB * billed / MONTH_S),
        ("public_ipv4", PUBLIC_IPV4 * billed / HOUR_S),
        ("lambda", invocations * LAMBDA + gb_s * LAMBDA_GB_S),
        ("step_functions", 2.0 * EXPRESS + express_gb_s * EXPRESS_GB_S),
        ("dynamodb", reads * READ + writes * WRITE),
        ("api_events_logs", (HOOKS + WORDS + BEATS) * HTTP_API + 2.0 * EVENT + LOG_GB * LOGS_GB),
    ]
}

/// Calls to the ledger of one short job, by their price.
#[derive(Clone, Copy, Debug)]
struct Calls {
    reads: f64,
    writes: f64,
    transactions: f64,
}

impl Calls {
    fn of(bill: &Bill) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "counts of one job are small")]
        let sum = |ops: &[&str]| ops.iter().map(|op| bill.aws_of(&format!("dynamodb:{op}"))).sum::<u64>() as f64;
        Self {
            // A query of the mapping reads a few rows of one page, a batch two rows.
            reads: sum(&["GetItem", "Query"]) + 2.0 * sum(&["BatchGetItem"]),
            writes: sum(&["PutItem", "UpdateItem"]),
            transactions: sum(&["TransactWriteItems"]),
        }
    }
}

/// A line for each market.
pub(super) fn costs(bill: &Bill) -> Vec<Verdict> {
    let calls = Calls::of(bill);
    DOCUMENTED.iter().map(|(market, documented)| cost(market, *documented, &calls)).collect()
}

fn cost(market: &str, documented: f64, calls: &Calls) -> Verdict {
    let parts = parts(market, calls);
    let whole: f64 = parts.iter().map(|(_, usd)| usd).sum();
    let documented = documented / 1000.0;
    let expected = json!({"usd": documented, "within": TOLERANCE});
    let mut verdict = Verdict::new(format!("calls: what ten minutes cost, {market}"), expected);
    let off = (whole - documented).abs() / documented;
    verdict.unless(off <= TOLERANCE, || format!("it comes to {whole:.5} $"));
    let round = |usd: f64| (usd * 1e7).round() / 1e7;
    let of: serde_json::Map<String, Value> =
        parts.iter().map(|(name, usd)| ((*name).to_owned(), json!(round(*usd)))).collect();
    verdict.got = json!({"usd": round(whole), "of": of});
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one job took when this was written.
    const CALLS: Calls = Calls { reads: 18.0, writes: 10.0, transactions: 5.0 };

    #[test]
    fn the_document_says_what_the_prices_come_to() {
        let document =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/instances.md")).unwrap();
        for (market, documented) in DOCUMENTED {
            let verdict = cost(market, documented, &CALLS);
            assert!(verdict.why.is_empty(), "{market}: {:?}", verdict.why);
            let words = format!("| all of it, {market} | {:.4} |", documented / 1000.0);
            assert!(document.contains(&words), "docs/instances.md lacks {words:?}");
        }
    }

    #[test]
    fn spot_saves_of_the_instance_alone() {
        let of =
            |market, name| parts(market, &CALLS).iter().find(|(part, _)| *part == name).map(|(_, usd)| *usd).unwrap();
        assert!((of("spot", "instance") / of("on demand", "instance") - SPOT).abs() < 1e-9);
        for part in ["ebs", "public_ipv4", "lambda", "step_functions", "dynamodb"] {
            assert!((of("spot", part) - of("on demand", part)).abs() < 1e-12, "{part}");
        }
    }
}
