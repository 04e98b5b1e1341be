//! Puts the layers together: defaults, the file, the environment. Finds unknown keys and values of a wrong kind,
//! all of them at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use super::error::{ConfigError, Origin};
use super::{Config, ConfigSchema};

const PREFIX: &str = "STAGEDOOR_";

/// The values that were given and where each came from, while problems are collected.
pub(super) struct Layers<'a> {
    schema: &'a ConfigSchema,
    defaults: Value,
    given: Map<String, Value>,
    pub(super) origins: BTreeMap<String, Origin>,
    pub(super) errors: Vec<ConfigError>,
}

impl<'a> Layers<'a> {
    pub(super) fn new(schema: &'a ConfigSchema) -> Self {
        let defaults = serde_json::to_value(Config::default()).expect("the configuration is plain data");
        Self { schema, defaults, given: Map::new(), origins: BTreeMap::new(), errors: Vec::new() }
    }

    /// Adds the values of a YAML file.
    pub(super) fn add_file(&mut self, path: &Path) {
        let origin = Origin::File(path.to_owned());
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                return self.errors.push(ConfigError::new(
                    "",
                    origin,
                    format!("the file cannot be read: {error}"),
                ));
            }
        };
        self.add_yaml(&text, &origin);
    }

    pub(super) fn add_yaml(&mut self, text: &str, origin: &Origin) {
        let tree = match parse_yaml(text) {
            Ok(Value::Object(tree)) => tree,
            Ok(Value::Null) => return,
            Ok(_) => {
                let problem = "the file is not a mapping of sections";
                return self.errors.push(ConfigError::new("", origin.clone(), problem));
            }
            Err(problem) => return self.errors.push(ConfigError::new("", origin.clone(), problem)),
        };
        for (section, keys) in sorted(tree) {
            match keys {
                _ if !self.schema.has_section(&section) => self.unknown(&section, origin),
                Value::Object(keys) => {
                    for (key, value) in sorted(keys) {
                        self.add(&section, &key, vec![value], origin);
                    }
                }
                Value::Null => {}
                _ => {
                    self.errors.push(ConfigError::new(
                        section,
                        origin.clone(),
                        "it is not a mapping of keys",
                    ));
                }
            }
        }
    }

    /// Adds `STAGEDOOR_SECTION__KEY`, and `STAGEDOOR_SECTION__KEY_FILE` for secrets. Variables without the double
    /// underscore are not ours: Kubernetes makes `STAGEDOOR_SERVICE_HOST` for a Service named `stagedoor`. An empty
    /// variable counts as not set.
    pub(super) fn add_environment(&mut self, variables: &BTreeMap<String, String>) {
        for (name, text) in variables.iter().filter(|(_, text)| !text.is_empty()) {
            let Some((section, key)) = name.strip_prefix(PREFIX).and_then(|path| path.split_once("__"))
            else {
                continue;
            };
            let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
            let origin = Origin::Environment(name.clone());
            if let Some(secret) = key.strip_suffix("_file")
                && self.schema.is_secret(&section, secret)
            {
                self.add_secret_file(&section, secret, text, &origin);
            } else {
                let list = self.defaults[&section][&key].is_array();
                self.add(&section, &key, readings(text, list), &origin);
            }
        }
    }

    /// The configuration, if no problem was found on the way.
    pub(super) fn finish(self) -> Result<Config, Vec<ConfigError>> {
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        let mut config: Config = serde_json::from_value(Value::Object(self.given))
            .map_err(|error| vec![ConfigError::new("", Origin::Default, error.to_string())])?;
        config.origins = self.origins;
        Ok(config)
    }

    fn add_secret_file(&mut self, section: &str, key: &str, file: &str, origin: &Origin) {
        match fs::read_to_string(file) {
            Ok(text) => self.add(section, key, vec![Value::String(text.trim_end().to_owned())], origin),
            Err(error) => {
                let problem = format!("{file} cannot be read: {error}");
                self.errors.push(ConfigError::new(format!("{section}.{key}"), origin.clone(), problem));
            }
        }
    }

    /// Takes the first of `readings` that the field accepts.
    fn add(&mut self, section: &str, key: &str, readings: Vec<Value>, origin: &Origin) {
        let path = format!("{section}.{key}");
        if !self.schema.has_key(section, key) {
            return self.unknown(&path, origin);
        }
        let mut refusal = String::new();
        for value in readings {
            match self.accepts(section, key, &value) {
                Ok(()) => {
                    let keys = self.given.entry(section).or_insert_with(|| Value::Object(Map::new()));
                    keys[key] = value;
                    self.origins.insert(path, origin.clone());
                    return;
                }
                Err(error) => refusal = error,
            }
        }
        let advice = self.schema.description(section, key);
        self.errors.push(ConfigError::new(path, origin.clone(), refusal).advice(advice));
    }

    /// Tries a value alone among defaults, so that a refusal is about this value and no other.
    fn accepts(&self, section: &str, key: &str, value: &Value) -> Result<(), String> {
        let mut tree = self.defaults.clone();
        tree[section][key] = value.clone();
        serde_json::from_value::<Config>(tree).map(drop).map_err(|error| error.to_string())
    }

    fn unknown(&mut self, path: &str, origin: &Origin) {
        let what = if path.contains('.') { "there is no such key" } else { "there is no such section" };
        let advice = self.schema.nearest(path).map(|nearest| format!("did you mean `{nearest}`?"));
        self.errors.push(ConfigError::new(path, origin.clone(), what).advice(advice));
    }
}

/// A mapping in one order, whatever the order of the file.
fn sorted(tree: Map<String, Value>) -> BTreeMap<String, Value> {
    tree.into_iter().collect()
}

/// What the text of a variable may mean, the likeliest first: for a list a YAML list or items with commas between
/// them, otherwise text or a YAML value.
fn readings(text: &str, list: bool) -> Vec<Value> {
    let yaml = parse_yaml(text).ok();
    if list {
        let items = text.split(',').map(|item| Value::String(item.trim().to_owned())).collect();
        return vec![yaml.filter(Value::is_array).unwrap_or(Value::Array(items))];
    }
    let mut readings = vec![Value::String(text.to_owned())];
    readings.extend(yaml.filter(|value| !value.is_string()));
    readings
}

/// Parses YAML; an error names line and column and repeats no text of the file, which may hold secrets.
fn parse_yaml(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_saphyr::from_str::<Value>(text).map_err(|error| {
        let text = error.without_snippet().to_string();
        format!("it is not valid YAML: {}", text.lines().next().unwrap_or_default())
    })
}
