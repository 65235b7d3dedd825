# A table row for each value of a values.yaml, from the comment above it: awk -f charts/values.awk charts/weir/values.yaml
# A key with keys below it has a row only when there is a comment above it.
BEGIN { print "| value | default | means |"; print "|---|---|---|" }
/^ *#/ {
  sub(/^ *# ?/, "")
  comment = comment == "" ? $0 : comment " " $0
  next
}
/^ *[A-Za-z]+:/ {
  depth = (match($0, /[^ ]/) - 1) / 2
  key = value = $0
  sub(/^ */, "", key)
  sub(/:.*/, "", key)
  sub(/^[^:]*: */, "", value)
  path[depth] = key
  name = path[0]
  for (at = 1; at <= depth; at++) name = name "." path[at]
  gsub(/\|/, "\\|", comment)
  if (value != "") value = "`" value "`"
  if (value != "" || comment != "") printf "| `%s` | %s | %s |\n", name, value, comment
  comment = ""
  next
}
{ comment = "" }
