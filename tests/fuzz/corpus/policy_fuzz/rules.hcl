transit/encrypt/a
path "transit/encrypt/+" { capabilities = ["update"] allowed_parameters = { "key_version" = [3, "4*"], "*" = [] } }
path "transit/*" { capabilities = ["deny"] }
bind { subjects = ["uid:0"] require = ["any:local"] }
