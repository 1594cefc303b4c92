//! A minimal JSON Schema validator. A report must not contain members that are missing in the schema.

use serde_json::Value;

/// Fails unless the report matches `docs/schema/connect.json`.
#[track_caller]
pub(crate) fn fits(report: &Value) {
    fits_in("connect.json", report);
}

/// Fails unless the report matches this file of `docs/schema`.
#[track_caller]
pub(crate) fn fits_in(file: &str, report: &Value) {
    let path = format!("{}/../../docs/schema/{file}", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    if let Err(misfit) = check(report, &schema, &schema) {
        panic!("{misfit}, in {report}");
    }
}

fn check(value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    for (keyword, wanted) in schema.as_object().unwrap() {
        let fits = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" | "default" => true,
            "$ref" => {
                return check(
                    value,
                    root.pointer(wanted.as_str().unwrap().strip_prefix('#').unwrap()).unwrap(),
                    root,
                );
            }
            "type" => match wanted {
                Value::Array(kinds) => kinds.iter().any(|kind| is(value, kind)),
                kind => is(value, kind),
            },
            "const" => value == wanted,
            // These keywords apply to numbers, and the value may be null.
            "minimum" => value.is_null() || value.as_f64() >= wanted.as_f64(),
            "maximum" => value.is_null() || value.as_f64() <= wanted.as_f64(),
            "anyOf" | "oneOf" => wanted.as_array().unwrap().iter().any(|it| check(value, it, root).is_ok()),
            "items" => {
                value.as_array().into_iter().flatten().try_for_each(|item| check(item, wanted, root))?;
                true
            }
            "required" => {
                wanted.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (name, item) in value.as_object().into_iter().flatten() {
                    let property = wanted.get(name).ok_or_else(|| format!("{name} is not in the schema"))?;
                    check(item, property, root).map_err(|misfit| format!("{name}: {misfit}"))?;
                }
                true
            }
            // It is used for maps only, which have no properties beside it.
            "additionalProperties" => {
                value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .try_for_each(|(_, item)| check(item, wanted, root))?;
                true
            }
            other => panic!("this check does not know {other}"),
        };
        if !fits {
            return Err(format!("{value} is not {keyword} {wanted}"));
        }
    }
    Ok(())
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("this check does not know the type {other}"),
    }
}

#[test]
fn the_check_finds_misfits() {
    let schema = serde_json::json!({
        "type": "object", "required": ["a"],
        "properties": {"a": {"type": "integer", "minimum": 0}, "b": {"anyOf": [{"type": "null"}, {"const": "x"}]},
                       "m": {"additionalProperties": {"type": "string"}}},
    });
    for (good, text) in [
        (true, r#"{"a": 1}"#),
        (true, r#"{"a": 1, "b": "x"}"#),
        (false, r#"{"b": null}"#),
        (false, r#"{"a": "1"}"#),
        (false, r#"{"a": -1}"#),
        (false, r#"{"a": 1, "b": "y"}"#),
        (false, r#"{"a": 1, "c": 1}"#),
        (true, r#"{"a": 1, "m": {"n": "x"}}"#),
        (false, r#"{"a": 1, "m": {"n": 1}}"#),
        (false, "[]"),
    ] {
        assert_eq!(check(&serde_json::from_str(text).unwrap(), &schema, &schema).is_ok(), good, "{text}");
    }
}
