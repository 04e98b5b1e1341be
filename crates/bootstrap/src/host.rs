//! What this machine is called: in Kubernetes the name of the pod.

/// The node name of `uname` (POSIX.1-2017).
pub fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_machine_has_a_name() {
        assert!(!super::host_name().is_empty());
    }
}
