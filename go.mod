module github.com/zodiac-go/zodiac

go 1.26

require pgregory.net/rapid v1.3.0

require (
	github.com/goccy/go-json v0.12.0
	github.com/sony/gobreaker/v2 v2.4.0
)

require github.com/jellydator/ttlcache/v3 v3.4.1

require golang.org/x/sync v0.16.0 // indirect
