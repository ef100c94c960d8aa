"""OpenStack (keystone, nova, neutron, glance, cinder), over connections of libcloud's driver."""
