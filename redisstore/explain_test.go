package redisstore

import (
	"errors"
	"slices"
	"testing"
)

func TestErrorOfTheServerIsExplainedOnce(t *testing.T) {
	for _, h := range hints {
		refused := serverError(h.word + " some text")
		once := explain(refused)
		if want := "redisstore: " + h.word + " some text (" + h.hint + ")"; once.Error() != want || !errors.Is(once, refused) {
			t.Errorf("explain(%v) = %v; want %s", refused, once, want)
		}
		if again := explain(once); again.Error() != once.Error() {
			t.Errorf("explain(%v) = %v; want no change", once, again)
		}
	}
	if other := serverError("ERR some text"); explain(other).Error() != other.Error() {
		t.Errorf("explain(%v) = %v; want no change", other, explain(other))
	}
}

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
			t.Errorf("explain(%v) = %v; want no change", once, again)
		}
	}
}
