a
path "{{identity.entity.id}}/*" { capabilities = ["read"] }