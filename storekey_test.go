package zodiac

// In-package: the keys of records are for stores alone.

import (
	"strings"
	"testing"
)

func TestStoreKeyIsWhatItAlwaysWas(t *testing.T) {
	long := strings.Repeat("k", maxKeyText+1)
	tests := []struct {
		name string
		got  string
		want string
	}{
		{"entry", storeKeyOf(newStoreKeys("app", "users", "", false), "42"), "zodiac:app:users:42"},
		{"entry-versioned", storeKeyOf(newStoreKeys("app", "users", "0", true), "42"), "zodiac:app:users@0:42"},
		{"entry-without-namespace", storeKeyOf(newStoreKeys("", "users", "", false), "42"), "zodiac::users:42"},
		{"entry-long", storeKeyOf(newStoreKeys("app", "users", "", false), long), "zodiac:app:users:%sha256-45a7c7ef95c3417e800362f5672aba16da807261fe7121f3a81b0a0fb6b9a05c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.got != tt.want {
				t.Errorf("key = %q; want %q", tt.got, tt.want)
			}
		})
	}
}

func storeKeyOf(k storeKeys, text string) string {
	key, _ := k.key(text)
	return key
}
