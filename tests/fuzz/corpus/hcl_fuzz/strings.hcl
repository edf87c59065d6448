# c
// c
/* c
 */ a = <<EOF
x
  y
EOF
b = <<-EOF
    x
      y
    EOF
c = "\x41\u00e9\101\U0001F600\\\""