"""The state database's migrations, one file a revision; run by `infra.runtime.state_database`."""
