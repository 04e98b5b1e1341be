//! Loading the configuration as an operator meets it: what is told when something is wrong, and what wins.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test, in helpers too")]

use stagedoor_bootstrap::Config;
use stagedoor_bootstrap::config::LoadOptions;

mod audit;
mod encryption;
mod layers;
mod operator;
mod redis;
mod values;

const VALID: &str = "
storage:
  database_url: postgres://stagedoor_app:pa55@db/stagedoor
encryption:
  key_file: /keys/kek
  api_key_pepper_file: /keys/pepper
";

struct Setting {
    folder: tempfile::TempDir,
    options: LoadOptions,
}

fn setting(yaml: &str, environment: &[(&str, &str)]) -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stagedoor.yaml");
    std::fs::write(&file, yaml).unwrap();
    let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Setting { folder, options: LoadOptions { file: Some(file), environment } }
}

impl Setting {
    fn load(&self) -> Config {
        Config::load(&self.options).unwrap()
    }

    fn refusal(&self) -> String {
        let folder = self.folder.path().display().to_string();
        Config::load(&self.options).unwrap_err().to_string().replace(&folder, "/etc/stagedoor")
    }
}
