#!/bin/sh
# run.sh FOLDER BUILD: what `make run` does. Every regular file under FOLDER goes through manifest.c on three executors; then a
# table, and a last line that says whether they agree. BUILD/run/ keeps the manifest (manifest.jsonl) and a list that
# `sha256sum -c` accepts (SHA256SUMS). Exit: 0 they agree; 1 they do not, or a file could not be read; 2 no such folder.
set -u
export LC_ALL=C
folder=${1:-/usr/share/doc}
build=${2:-build}
here=$(dirname "$0")
executors="inline threads processes"

fail()
{
    echo "make run: $1" >&2
    exit 2
}

now()
{
    date +%s%N
}

[ -e "$folder" ] || fail "$folder: no such folder"
[ -d "$folder" ] || fail "$folder: not a folder"
[ -r "$folder" ] && [ -x "$folder" ] || fail "$folder: permission denied"
out=$build/run
mkdir -p "$out" || fail "$out cannot be made"

# In the order of their names, so that the manifest is the same every time. A folder that find cannot enter is told by find.
# What is written here is not read, and no name is taken for an option or a file: URI.
case $folder in
-* | '!'* | '('* | ')'* | ,* | file:*) folder=./$folder ;;
esac
find -H "$folder" -samefile "$out" -prune -o -type f -print0 >"$out/found"
partial=$?
sort -z "$out/found" >"$out/files" || fail "$out: cannot write"
rm -f "$out/found"
files=$(tr -dc '\000' <"$out/files" | wc -c)
[ "$files" -gt 0 ] || fail "$folder: no files in it"

# Compiling and the first reading from the disk are not what is compared.
"$build/yoke" ls "$here/manifest.c" >/dev/null || fail "examples/manifest/manifest.c did not load"
xargs -0 cat <"$out/files" >/dev/null 2>&1

# Records are UTF-8. A name that is not becomes a file: URI, of which entry() makes the name again.
escapes=$(awk 'BEGIN { for (i = 128; i < 256; i++) printf "s/\\x%02x/%%%02X/g;", i, i }')
sed -Ez '/^([\x01-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}'\
'|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})*$/b
s/%/%25/g;'"$escapes"'s/^/file:/' "$out/files" >"$out/records" || fail "$out: cannot write"

# What an executor says that the first has said already is not said again.
tell()
{
    if [ "$1" = inline ]; then
        cp "$out/errors" "$out/told"
        cat "$out/errors" >&2
    else
        grep -avxFf "$out/told" "$out/errors" >&2
    fi
}

status=0
: >"$out/times"
for executor in $executors; do
    echo "$files files on $executor" >&2
    start=$(now)
    "$build/yoke" map "$here/manifest.c:entry" --on "$executor" --null --input text <"$out/records" >"$out/$executor.jsonl" \
        2>"$out/errors"
    code=$?
    end=$(now)
    tell "$executor"
    [ "$code" -le 1 ] || { echo "make run: yoke map on $executor ended with $code" >&2; exit "$code"; }
    [ "$code" = 0 ] || status=1
    echo "$executor $start $end" >>"$out/times"
done

mv "$out/inline.jsonl" "$out/manifest.jsonl"
agree=yes
for executor in threads processes; do
    if cmp -s "$out/manifest.jsonl" "$out/$executor.jsonl"; then
        rm -f "$out/$executor.jsonl"
    else
        agree=no # both stay, to be compared
        status=1
    fi
done
[ "$partial" = 0 ] || status=1
rm -f "$out/records" "$out/errors" "$out/told"

# The list, out of the JSON: sha256sum wants a line to begin with a backslash when its name has an escaped one, a newline or a
# carriage return.
sed -n 's/.*"sha256":"\([0-9a-f]\{64\}\)","path":"\(.*\)"}$/\1  \2/p' "$out/manifest.jsonl" | awk '
    function replace(what, by, part, n, i, text) {
        n = split($0, part, what)
        text = part[1]
        for (i = 2; i <= n; i++)
            text = text by part[i]
        $0 = text
    }
    /\\/ {
        gsub(/\\\\/, "\n") # no raw newline is in here, so one can stand for a backslash
        gsub(/\\"/, "\"")
        escaped = /\n|\\u000[ad]/
        for (i = 1; i < 32; i++)
            if (i != 10 && i != 13)
                gsub("\\\\u" sprintf("%04x", i), sprintf("%c", i))
        replace("\\\\u000a", "\\n")
        replace("\\\\u000d", "\\r")
        replace("\n", "\\\\")
        $0 = (escaped ? "\\" : "") $0
    }
    /^[^ ]*  file:/ {
        sub(/  file:/, "  ")
        for (i = 128; i < 256; i++)
            gsub(sprintf("%%%02X", i), sprintf("%c", i))
        gsub(/%25/, "%")
    }
    { print }' >"$out/SHA256SUMS"
bytes=$(sed -n 's/^{"bytes":\([0-9]*\),.*/\1/p' "$out/manifest.jsonl" | awk '{ n += $1 } END { printf "%.0f", n }')
entries=$(wc -l <"$out/manifest.jsonl")

awk -v files="$entries" -v bytes="$bytes" '
    BEGIN { printf "\n%-10s %9s %13s %9s %9s %9s\n", "executor", "files", "bytes", "seconds", "MB/s", "speed-up" }
    {
        seconds = ($3 - $2) / 1e9
        if (NR == 1)
            first = seconds
        printf "%-10s %9d %13.0f %9.3f %9.1f %9.2f\n", $1, files, bytes, seconds, bytes / 1e6 / seconds, first / seconds
    }' "$out/times"
echo
[ "$entries" -eq "$files" ] || echo "$((files - entries)) of $files files could not be read"
sum=$(sha256sum <"$out/manifest.jsonl")
echo "executors agree: $agree ($entries files, $bytes bytes, manifest sha256 ${sum%% *})"
exit "$status"
