# Turns each line of a text into a line of a C string literal.
s/\\/\\\\/g
s/"/\\"/g
s/.*/"&\\n"/
