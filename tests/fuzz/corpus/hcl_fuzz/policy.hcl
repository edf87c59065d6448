path "secret/*" {
  capabilities = ["create", "read",]
  allowed_parameters = { "zip" = [] , "*" = [1, true] }
}
