package redisstore

import (
	"errors"
	"slices"
	"testing"
)

// The two texts are those of Redis 7.0 and of later releases.
func TestDenialInAScriptIsExplainedOnce(t *testing.T) {
	for _, text := range []string{
		"ERR The user executing the script can't run this command or subcommand script: 0123, on @user_script:9.",
		"ERR ACL failure in script: User u has no permissions to run the 'del' command script: 0123, on @user_script:9.",
	} {
		denied := serverError(text)
		once := explain(denied)
		hint := hints[slices.IndexFunc(hints, func(h hintFor) bool { return h.word == "NOPERM" })].hint
		if want := "redisstore: " + text + " (" + hint + ")"; once.Error() != want || !errors.Is(once, denied) {
			t.Errorf("explain(%s) = %v; want %s", text, once, want)
		}
		if again := explain(once); again.Error() != once.Error() {
			t.Errorf("explain of an explained error = %v; want no change", again)
		}
	}
}
