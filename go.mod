module github.com/zodiac-go/zodiac

go 1.26
