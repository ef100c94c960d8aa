"""OpenStack (keystone, nova, neutron, glance), over the connections of libcloud's driver."""
