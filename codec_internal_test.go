package zodiac

// In-package: the names of codecs are checked before there is a loader.

import (
	"strings"
	"testing"
)

func TestCodecNameIsShortAndPlain(t *testing.T) {
	for name, ok := range map[string]bool{
		"json": true, "msgpack+zstd": true, "A-z_0.9": true, strings.Repeat("a", maxCodecName): true,
		"": false, strings.Repeat("a", maxCodecName+1): false, "a b": false, "a:b": false, "ä": false, "a\n": false, "\xFF": false,
	} {
		if err := checkCodecName(name); (err == nil) != ok {
			t.Errorf("checkCodecName(%q) = %v; want it fine: %v", name, err, ok)
		}
	}
	if err := checkCodecName(JSON.Name()); err != nil {
		t.Error(err)
	}
}
