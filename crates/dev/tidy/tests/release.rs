//! A release's template is the template, but for where code comes from; and a release has all that its template names.

use std::collections::BTreeSet;
use std::process::Command;

use runnerless_tidy::template::{FILE, POOL, Template, text};
use runnerless_tidy::{read, root, yaml};
use serde_json::Value;

fn released(path: &str) -> Template {
    let mut command = Command::new("python3");
    command.arg(root().join("helper-scripts/release.py")).arg("--template").arg(root().join(path));
    let made = command.output().expect("python3");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = String::from_utf8(made.stdout).expect("UTF-8");
    let value = yaml::load(&text).unwrap_or_else(|error| panic!("{error}"));
    Template { path: path.to_owned(), text, value }
}

#[test]
fn its_code_comes_from_a_bucket_for_the_architecture_that_the_function_has() {
    let released = released(FILE);
    let of_pool = self::released(POOL);
    let all = Template::load().functions().into_iter().map(|function| (&released, function));
    for (released, function) in
        all.chain(Template::at(POOL).functions().into_iter().map(|function| (&of_pool, function)))
    {
        let code = &released.value["Resources"][&function.id]["Properties"]["CodeUri"];
        assert_eq!(code["Bucket"]["!Ref"], "ArtifactBucket", "{}", function.id);
        let key = &code["Key"]["!Sub"];
        assert_eq!(key[0], format!("${{ArtifactPrefix}}/{}-${{Built}}.zip", function.part));
        assert_eq!(key[1]["Built"], function.properties["Architectures"][0], "{}", function.id);
    }
    for (id, machine) in released.resources("AWS::Serverless::StateMachine") {
        let key = text(&machine["DefinitionUri"]["Key"]["!Sub"]);
        let name = key.strip_prefix("${ArtifactPrefix}/").unwrap_or_else(|| panic!("{id}: {key}"));
        assert!(root().join("statemachines").join(name).exists(), "{id}: there is no {name}");
    }
}

#[test]
fn everything_else_is_the_templates() {
    for path in [FILE, POOL] {
        let (mut released, mut template) = (released(path).value, Template::at(path).value);
        for name in ["ArtifactBucket", "ArtifactPrefix"] {
            let parameter = released["Parameters"].as_object_mut().and_then(|all| all.remove(name));
            assert!(!text(&parameter.unwrap_or_default()["Description"]).is_empty(), "{name}");
        }
        for value in [&mut released, &mut template] {
            for resource in value["Resources"].as_object_mut().into_iter().flatten().map(|(_, resource)| resource) {
                if text(&resource["Type"]).starts_with("AWS::Serverless::") {
                    resource.as_object_mut().and_then(|fields| fields.remove("Metadata"));
                    for property in ["CodeUri", "ContentUri", "DefinitionUri"] {
                        resource["Properties"].as_object_mut().and_then(|fields| fields.remove(property));
                    }
                }
            }
        }
        assert!(released == template, "helper-scripts/release.py changes more of {path} than it says");
    }
}

#[test]
fn what_the_scripts_of_a_release_call_outputs_and_parameters_exist() {
    let template = released(FILE);
    let outputs: BTreeSet<&str> = template.section("Outputs").map(|(name, _)| name).collect();
    // update.sh makes the output's name of the part's.
    assert!(read("release/update.sh").contains("'${part^}FunctionName'"));
    assert!(outputs.contains("ExecutorFunctionName"));
    for name in ["ArtifactBucket", "ArtifactPrefix"] {
        assert!(read("release/deploy.sh").contains(&format!("\"{name}=$")), "deploy.sh does not give {name}");
    }
    let parameter: Option<&Value> = template.value["Parameters"].get("GitLabUrl");
    assert!(parameter.is_some() && read("release/README.md").contains("GitLabUrl="));
}
