package config

import "path/filepath"

// Resolve makes relative file names relative to dir, the boot file's folder. It changes c.
func (c *Config) Resolve(dir string) {
	for _, file := range []*string{
		&c.DataDir, &c.RunDir,
		&c.Phones.Certificate, &c.Phones.Key,
		&c.Trunk.Certificate, &c.Trunk.Key, &c.Trunk.Roots,
		&c.Cloud.Roots,
		&c.Portal.TokenFile, &c.Portal.Roots,
		&c.Site.File,
		&c.Admin.FirstPasswordFile,
		&c.Webhook.SecretFile, &c.Webhook.Roots,
		&c.Report.SecretFile, &c.Report.Roots,
		&c.Homer.Roots, &c.Syslog.Roots, &c.Syslog.Certificate, &c.Syslog.Key,
	} {
		if *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(dir, *file)
		}
	}
}
