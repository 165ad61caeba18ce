//! How a server is reached that has TLS or asks who we are. Passwords come by the environment or by a file: the command
//! line is seen by everybody on the machine.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::Secret;
use crate::http::{self, Access};

/// The same settings for each server, under its name.
macro_rules! access {
    ($kind:ident, $server:literal, $flag:literal, $env:literal) => {
        #[doc = concat!("How ", $server, " is reached.")]
        #[derive(Debug, Clone, clap::Args)]
        #[group(skip)]
        pub struct $kind {
            #[arg(
                id = concat!($flag, "-user"), long = concat!($flag, "-user"), env = concat!($env, "_USER"), global = true,
                help = concat!("The user that ", $server, " knows us as")
            )]
            user: Option<String>,
            #[arg(
                id = concat!($flag, "-password"), long = concat!($flag, "-password"), env = concat!($env, "_PASSWORD"),
                hide_env_values = true, global = true, default_value = "",
                help = "The user's password; better given by the environment, or in a file"
            )]
            password: Secret,
            #[arg(
                id = concat!($flag, "-password-file"), long = concat!($flag, "-password-file"),
                env = concat!($env, "_PASSWORD_FILE"), value_name = "FILE", global = true,
                help = "A file that has the password"
            )]
            password_file: Option<PathBuf>,
            #[arg(
                id = concat!($flag, "-ca"), long = concat!($flag, "-ca"), env = concat!($env, "_CA"), value_name = "FILE",
                global = true,
                help = "The authorities, in PEM, that its certificate may come from; those of the system if absent"
            )]
            ca: Option<PathBuf>,
            #[arg(
                id = concat!($flag, "-cert"), long = concat!($flag, "-cert"), env = concat!($env, "_CERT"),
                value_name = "FILE", global = true, help = "Our certificate, in PEM, where it asks for one"
            )]
            cert: Option<PathBuf>,
            #[arg(
                id = concat!($flag, "-key"), long = concat!($flag, "-key"), env = concat!($env, "_KEY"),
                value_name = "FILE", global = true, help = "The key of our certificate, in PEM"
            )]
            key: Option<PathBuf>,
        }

        impl $kind {
            /// What the settings mean together.
            ///
            /// # Errors
            /// Where they contradict each other, or the password's file cannot be read.
            pub fn access(&self) -> anyhow::Result<Access> {
                let Self { user, password, password_file, ca, cert, key } = self;
                let identity = match (cert, key) {
                    (None, None) => None,
                    (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
                    _ => bail!(concat!("--", $flag, "-cert and --", $flag, "-key go together; one of them is missing")),
                };
                let password = match (password_file, password.reveal()) {
                    (Some(_), given) if !given.is_empty() => {
                        bail!(concat!($env, "_PASSWORD and ", $env, "_PASSWORD_FILE are both given; give one"))
                    }
                    (Some(path), _) => http::password(path).map_err(anyhow::Error::msg).context("cannot read a password")?,
                    (None, _) => password.clone(),
                };
                let login = match user.as_ref().filter(|user| !user.is_empty()) {
                    Some(user) => Some((user.clone(), password)),
                    None if password.reveal().is_empty() => None,
                    None => bail!(concat!($env, "_PASSWORD has no ", $env, "_USER that it belongs to")),
                };
                Ok(Access { ca: ca.clone(), identity, login })
            }
        }
    };
}

access!(Connect, "Kafka Connect", "connect", "CONNECT");
access!(Elasticsearch, "Elasticsearch", "elasticsearch", "ELASTICSEARCH");

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Args {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        elasticsearch: Elasticsearch,
    }

    #[test]
    fn what_belongs_together_is_asked_for_together_and_no_password_is_shown() {
        let of = |args: &[&str]| Args::try_parse_from([&["x"], args].concat()).unwrap();
        let plain = of(&[]).connect.access().unwrap();
        assert!(plain.login.is_none() && plain.identity.is_none() && plain.ca.is_none());
        let whole = of(&["--connect-user", "u", "--connect-password", "hunter2", "--elasticsearch-ca", "c"]);
        assert!(!format!("{whole:?} {:?}", whole.connect.access().unwrap()).contains("hunter2"));
        assert_eq!(whole.elasticsearch.access().unwrap().ca, Some(PathBuf::from("c")));
        for (args, words) in [
            (&["--connect-cert", "c"][..], "--connect-key"),
            (&["--connect-password", "p"], "CONNECT_USER"),
            (&["--connect-user", "u", "--connect-password", "p", "--connect-password-file", "f"], "give one"),
            (&["--connect-user", "u", "--connect-password-file", "/nonexistent"], "/nonexistent"),
        ] {
            let told = format!("{:#}", of(args).connect.access().unwrap_err());
            assert!(told.contains(words) && !told.contains("hunter2"), "{args:?}: {told}");
        }
    }
}
