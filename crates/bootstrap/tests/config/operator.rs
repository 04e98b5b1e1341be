//! What the Kubernetes operator must be told.

use stagedoor_bootstrap::Config;

use super::setting;

fn check(section: &str) -> Result<(), String> {
    let setting = setting(&format!("operator:\n{section}"), &[]);
    let config = Config::read(&setting.options).unwrap();
    config.validate_operator().map_err(|problems| problems.to_string())
}

#[test]
fn an_operator_needs_an_address_a_key_and_authorities_and_nothing_of_a_gateway() {
    let whole = "  admin_url: https://admin.music.svc:9443\n  admin_key_file: /k\n  admin_ca_file: /ca\n";
    assert_eq!(check(whole), Ok(()));
    assert_eq!(check("  admin_url: http://127.0.0.1:9443\n  admin_key_file: /k\n"), Ok(()));
    assert_eq!(
        check("  admin_url: http://admin:9443\n  admin_insecure: true\n  admin_key_file: /k\n"),
        Ok(())
    );
    let nothing = check("  lease_name: ''\n").unwrap_err();
    for field in ["operator.admin_url", "operator.admin_key_file", "operator.lease_name"] {
        assert!(nothing.contains(field), "{nothing}");
    }
}

#[test]
fn what_would_not_do_is_named_with_what_would() {
    for (section, told) in [
        ("  admin_url: http://admin:9443\n", "operator.admin_url: the admin key would travel in the open"),
        ("  admin_url: https://admin/path\n", "operator.admin_url: it is no address of an admin API"),
        ("  admin_url: admin:9443\n", "operator.admin_url: it is no address of an admin API"),
        ("  admin_url: https://admin\n", "operator.admin_ca_file: it is required"),
        (
            "  admin_client_certificate_file: /c\n",
            "operator.admin_client_key_file: a certificate and its key",
        ),
        ("  lease_seconds: 1\n", "operator.lease_seconds: 1 is out of range"),
    ] {
        let problems = check(section).unwrap_err();
        assert!(problems.contains(told), "{section}: {problems}");
    }
}
