package driver_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/zodiac-go/zodiac/driver"
)

func TestKeyErrorsGiveEachReasonOnceAndNoKey(t *testing.T) {
	full, slow := errors.New("the server is full"), errors.New("no reply")
	err := error(driver.KeyErrors{"secret1": slow, "secret2": full, "secret3": full})
	if got, want := err.Error(), "3 keys failed: no reply; the server is full"; got != want {
		t.Errorf("Error() = %q; want %q", got, want)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Error("the text names a key")
	}
	if !errors.Is(err, full) || !errors.Is(err, slow) || errors.Is(err, errors.ErrUnsupported) {
		t.Error("errors.Is does not find the reasons, or finds others")
	}
}
