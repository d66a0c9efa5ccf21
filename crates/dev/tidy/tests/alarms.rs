//! What failed is shown: each function, workflow and queue has its alarm, and each alarm looks at a metric that exists.

use runnerless_tidy::source::{literals, of_function};
use runnerless_tidy::template::{POOL, Template, each, text};
use serde_json::Value;

struct Alarm {
    id: String,
    properties: Value,
}

impl Alarm {
    fn all(template: &Template) -> Vec<Self> {
        let alarm = |(id, properties): (&str, &Value)| Self { id: id.to_owned(), properties: properties.clone() };
        template.resources("AWS::CloudWatch::Alarm").map(alarm).collect()
    }

    fn watches(&self, namespace: &str, metric: &str, resource: &str) -> bool {
        let of_resource = |dimension: &&Value| {
            let value = &dimension["Value"];
            value["!Ref"] == resource || text(&value["!GetAtt"]).split('.').next() == Some(resource)
        };
        self.properties["Namespace"] == namespace
            && self.properties["MetricName"] == metric
            && each(&self.properties["Dimensions"]).iter().any(of_resource)
    }
}

#[test]
fn every_function_workflow_and_queue_has_its_alarm() {
    for template in Template::both() {
        let alarms = Alarm::all(&template);
        for (kind, namespace, metric) in [
            ("AWS::Serverless::Function", "AWS/Lambda", "Errors"),
            ("AWS::Serverless::StateMachine", "AWS/States", "ExecutionsFailed"),
            ("AWS::SQS::Queue", "AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ] {
            for (id, _) in template.resources(kind) {
                let found = alarms.iter().any(|alarm| alarm.watches(namespace, metric, id));
                assert!(found, "{id} has no alarm on {namespace} {metric}");
            }
        }
        let scheduled = if template.path == POOL { "ScalerFunction" } else { "ReconcilerFunction" };
        let silent = |alarm: &Alarm| alarm.watches("AWS/Lambda", "Invocations", scheduled);
        let silent = alarms.into_iter().find(silent).expect("an alarm on what runs each minute and does not");
        assert_eq!(silent.properties["TreatMissingData"], "breaching", "no data is what it is for");
    }
}

#[test]
fn every_alarm_says_what_it_means_and_tells_somebody() {
    for alarm in Template::both().iter().flat_map(Alarm::all) {
        assert!(!text(&alarm.properties["AlarmDescription"]).is_empty(), "{} says nothing", alarm.id);
        assert_eq!(alarm.properties["AlarmActions"]["!If"][0], "TellsAlarms", "{} tells nobody", alarm.id);
        assert!(alarm.properties["TreatMissingData"].is_string(), "{}: unknown is not fine", alarm.id);
    }
}

#[test]
fn our_own_metrics_in_alarms_are_counted_by_that_service() {
    for template in Template::both() {
        let parts: Vec<String> = template.functions().into_iter().map(|function| function.part).collect();
        let own: Vec<_> =
            Alarm::all(&template).into_iter().filter(|alarm| alarm.properties["Namespace"] == "Runnerless").collect();
        assert!(!own.is_empty(), "no alarm looks at a metric of ours");
        for alarm in own {
            let dimensions = each(&alarm.properties["Dimensions"]);
            let metric = text(&alarm.properties["MetricName"]).to_owned();
            let counts = |service: &String| literals(&of_function(service), &metric).contains(&metric);
            match dimensions.first() {
                // Every metric is also counted over all functions.
                None => assert!(parts.iter().any(counts), "{}: nobody counts {metric}", alarm.id),
                Some(dimension) => {
                    // There may be several pools, and each alarm is about one.
                    let names: Vec<&str> = dimensions.iter().map(|dimension| text(&dimension["Name"])).collect();
                    let expected = if template.path == POOL { &["service", "pool"][..] } else { &["service"] };
                    assert_eq!(names, expected, "{}", alarm.id);
                    let service = text(&dimension["Value"]).to_owned();
                    assert!(parts.contains(&service), "{}: there is no function {service}", alarm.id);
                    assert!(counts(&service), "{}: {service} never counts {metric}", alarm.id);
                }
            }
        }
    }
}
