a/b/
path "a/b" { policy = "write" }
path "a/+/" { capabilities = ["list"] expiration = "2030-01-01T00:00:00+01:00" }
path "+/b/*" { min_wrapping_ttl = "1s" required_parameters = ["x"] denied_parameters = { "hash_algorithm" = ["*sha1*"] } }
