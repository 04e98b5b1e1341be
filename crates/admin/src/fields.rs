//! Fields that several requests have, read with all that is wrong in them.

use std::str::FromStr;

use ipnet::IpNet;
use stagedoor_crypto::PlainApiKey;
use stagedoor_domain::{ApiKeyId, Scope, ScopeSet, Toolset, ToolsetSet};

use crate::error::{AdminError, Violation};

/// Stands for every scope.
const ALL: &str = "all";

/// What was wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Violation>);

impl Problems {
    /// Notes something.
    pub(crate) fn note(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(Violation { field: field.into(), description: description.into() });
    }

    /// The value, or what is there in its place; what is wrong is noted.
    pub(crate) fn take<T: Default>(&mut self, read: Result<T, AdminError>) -> T {
        read.unwrap_or_else(|error| {
            self.0.extend(error.violations);
            T::default()
        })
    }

    /// Fails if anything was noted.
    pub(crate) fn check(self) -> Result<(), AdminError> {
        if self.0.is_empty() { Ok(()) } else { Err(AdminError::fields(self.0)) }
    }
}

/// The scopes of a field.
pub(crate) fn scopes(field: &str, given: &[String]) -> Result<ScopeSet, AdminError> {
    if let [only] = given
        && only == ALL
    {
        return Ok(ScopeSet::all());
    }
    let names = Scope::ALL.iter().map(|scope| scope.as_str());
    let wanted = || format!("There is no such scope; known: {}, or {ALL} alone.", join(names.clone()));
    Ok(each(field, given, wanted)?.into_iter().collect())
}

/// The toolsets of a field; none stands for every one.
pub(crate) fn toolsets(field: &str, given: &[String]) -> Result<Option<ToolsetSet>, AdminError> {
    let names = Toolset::ALL.iter().map(|toolset| toolset.as_str());
    let wanted = || format!("There is no such toolset; known: {}.", join(names.clone()));
    let read: Vec<Toolset> = each(field, given, wanted)?;
    Ok((!read.is_empty()).then(|| read.into_iter().collect()))
}

/// The networks of a field, single addresses among them.
pub(crate) fn networks(field: &str, given: &[String]) -> Result<Vec<IpNet>, AdminError> {
    let wanted = || "It is no network; wanted: such as 192.0.2.0/24 or 2001:db8::/32.".to_owned();
    let read: Vec<Network> = each(field, given, wanted)?;
    Ok(read.into_iter().map(|network| network.0.trunc()).collect())
}

/// The key of a field. A text that is none is the id of no key.
pub(crate) fn key_id(kind: &'static str, given: &str) -> Result<ApiKeyId, AdminError> {
    given.parse().map_err(|_| match PlainApiKey::parse(given) {
        Ok(key) => AdminError::field(
            "key_id",
            format!("It is a whole key, with its secret. Its id alone is wanted: {}.", key.id()),
        ),
        Err(_) => AdminError::unknown(kind, given),
    })
}

/// The value of an enum; `None` if it is not set.
pub(crate) fn known<E>(field: &str, given: i32) -> Result<Option<E>, AdminError>
where
    E: TryFrom<i32> + Default + PartialEq,
{
    match E::try_from(given) {
        Ok(value) if value == E::default() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(AdminError::field(field, format!("This version knows no such value: {given}."))),
    }
}

struct Network(IpNet);

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let network = text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| ())
    }
}

fn each<T: FromStr>(
    field: &str,
    given: &[String],
    wanted: impl Fn() -> String,
) -> Result<Vec<T>, AdminError> {
    let mut problems = Problems::default();
    let mut read = Vec::with_capacity(given.len());
    for (index, text) in given.iter().enumerate() {
        match text.parse() {
            Ok(value) => read.push(value),
            Err(_) => problems.note(format!("{field}[{index}]"), wanted()),
        }
    }
    problems.check().map(|()| read)
}

fn join<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use stagedoor_proto::admin::v1::KeyState;

    use super::*;

    fn texts(given: &[&str]) -> Vec<String> {
        given.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn each_wrong_entry_is_named_by_its_place() {
        let error = scopes("scopes", &texts(&["catalog:read", "catalog:reed", "", "all"])).unwrap_err();
        let fields: Vec<_> = error.violations.iter().map(|wrong| wrong.field.as_str()).collect();
        assert_eq!(fields, ["scopes[1]", "scopes[2]", "scopes[3]"]);
        assert!(error.violations[0].description.contains("catalog:read"), "{error}");
        assert_eq!(scopes("scopes", &texts(&["all"])).unwrap(), ScopeSet::all());
        assert!(toolsets("toolsets", &texts(&["nonsense"])).is_err());
        assert_eq!(toolsets("toolsets", &[]).unwrap(), None);
    }

    #[test]
    fn an_address_is_a_network_of_its_own_and_host_bits_are_dropped() {
        let read =
            networks("allowed_networks", &texts(&["192.0.2.7", "192.0.2.7/24", "2001:db8::1/32"])).unwrap();
        let shown: Vec<_> = read.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["192.0.2.7/32", "192.0.2.0/24", "2001:db8::/32"]);
        let error = networks("allowed_networks", &texts(&["192.0.2.0/33"])).unwrap_err();
        assert_eq!(error.violations[0].field, "allowed_networks[0]");
    }

    #[test]
    fn an_enum_of_a_later_release_is_told_as_unknown() {
        assert_eq!(known::<KeyState>("state", 0).unwrap(), None);
        assert_eq!(known::<KeyState>("state", 2).unwrap(), Some(KeyState::Expired));
        assert_eq!(known::<KeyState>("state", 99).unwrap_err().violations[0].field, "state");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let mut problems = Problems::default();
        problems.take(scopes("scopes", &texts(&["x"])));
        problems.take(networks("allowed_networks", &texts(&["y"])));
        problems.note("name", "It is empty.");
        assert_eq!(problems.check().unwrap_err().violations.len(), 3);
        assert!(Problems::default().check().is_ok());
    }
}
